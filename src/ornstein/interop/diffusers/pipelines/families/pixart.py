"""PixArt: a transformer on latents that reads T5. Chen et al. 2023, 2310.00426; 2024, 2403.04692."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.interop.diffusers.pipelines.families.base import Options, state_size, system_of
from ornstein.interop.diffusers.pipelines.folder import Index, load_part
from ornstein.interop.diffusers.pipelines.networks import Autoencoder, told, unrecorded
from ornstein.interop.diffusers.pipelines.swap import Schedulers
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.clip import Long
from ornstein.interop.diffusers.prompts.reader import Reader, no_chunks
from ornstein.interop.diffusers.prompts.t5 import T5Prompts


def build(index: Index, options: Options) -> Pipeline:
    """The pipeline in a folder, alpha or sigma."""
    model = load_part(index, "transformer")
    codec = Autoencoder(load_part(index, "vae"))
    height, width = state_size(options, model.config.sample_size, codec.reduction, int(model.config.patch_size))
    sigma = index.pipeline == "PixArtSigmaPipeline"
    encoder = T5Prompts(
        load_part(index, "tokenizer"), load_part(index, "text_encoder"), 300 if sigma else 120, masked=True
    )
    return system_of(
        index,
        Captioned(model, codec.reduction, sized=not sigma and model.config.sample_size == 128),
        codec,
        (int(model.config.in_channels), height, width),
        Schedulers(Schedulers.at(index.path / "scheduler"), options.eta),
        prompts=Lower(encoder),
        guidance=4.5,
        steps=20,
    )


@final
class Lower(Reader):
    """T5's reading of the prompts in lower case, with a mask of their padding."""

    def __init__(self, encoder: T5Prompts):
        super().__init__()
        self.encoder = encoder

    def encode(self, prompts: Sequence[str], skip: int, long: Long) -> dict[str, Tensor]:
        no_chunks(long, "T5")
        text, mask = self.encoder([prompt.lower().strip() for prompt in prompts])
        return {"text": text, "text_mask": mask}


@final
class Captioned(nn.Module):
    """The noise estimate of a PixArtTransformer2DModel; the largest models are told the picture's size (``sized``)."""

    def __init__(self, model: nn.Module, reduction: int, sized: bool):
        super().__init__()
        self.model: Any = model
        self.reduction, self.sized = reduction, sized

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        size: dict[str, Tensor | None] = {"resolution": None, "aspect_ratio": None}
        if self.sized:
            height, width = (side * self.reduction for side in x.shape[2:])
            size["resolution"] = torch.tensor([[height, width]]).expand(len(x), -1).to(x)
            size["aspect_ratio"] = torch.tensor([[height / width]]).expand(len(x), -1).to(x)
        with unrecorded():
            out: Tensor = self.model(
                x,
                encoder_hidden_states=told(cond, "text", "a prompt").to(x),
                encoder_attention_mask=told(cond, "text_mask", "a prompt"),
                timestep=t,
                added_cond_kwargs=size,
            ).sample
        return out[:, : x.shape[1]]
