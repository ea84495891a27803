"""DiT: a transformer on latents, by class. Peebles & Xie 2023, 2212.09748."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CheckpointError
from ornstein.interop.diffusers.pipelines.families.base import Options, state_size, system_of
from ornstein.interop.diffusers.pipelines.folder import Index, load_part
from ornstein.interop.diffusers.pipelines.networks import Autoencoder, told, unrecorded
from ornstein.interop.diffusers.pipelines.swap import Schedulers
from ornstein.interop.diffusers.pipelines.system import Pipeline


def build(index: Index, options: Options) -> Pipeline:
    """The pipeline in a folder; its classes are those that the index names."""
    model = load_part(index, "transformer")
    codec = Autoencoder(load_part(index, "vae"))
    height, width = state_size(options, model.config.sample_size, codec.reduction, int(model.config.patch_size))
    count = int(model.config.num_embeds_ada_norm)
    listed: Any = index.settings.get("id2label") or {}
    if not isinstance(listed, dict):
        raise CheckpointError(
            f"{index.path}: id2label of the index maps numbers to names, got a {type(listed).__name__}"
        )
    classes = tuple(str(listed.get(str(i), i)) for i in range(count))
    names = {word.strip(): i for i, text in enumerate(classes) for word in text.split(",")}
    return system_of(
        index,
        ByClass(model),
        codec,
        (int(model.config.in_channels), height, width),
        Schedulers(Schedulers.at(index.path / "scheduler"), options.eta),
        classes=classes,
        names=names,
        guidance=4.0,
        steps=250,
    )


@final
class ByClass(nn.Module):
    """The noise estimate of a DiTTransformer2DModel; the variance that it learned beside it is not used, as in diffusers.

    A missing label is the class after the last.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model: Any = model
        config: Any = model.config
        self.null = int(config.num_embeds_ada_norm)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        label = told(cond, "label", "a label")
        label = torch.where(label < 0, torch.full_like(label, self.null), label)
        with unrecorded():
            out: Tensor = self.model(x, timestep=t, class_labels=label).sample
        return out[:, : x.shape[1]]
