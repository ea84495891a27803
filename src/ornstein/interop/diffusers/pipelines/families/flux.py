"""Flux: a transformer on patches of latents that is told the guidance scale, flow matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.interop.diffusers.pipelines.families.base import Options, state_size, system_of
from ornstein.interop.diffusers.pipelines.families.stable_diffusion_3 import shift_by_size
from ornstein.interop.diffusers.pipelines.folder import Index, load_part
from ornstein.interop.diffusers.pipelines.networks import SCALE, Autoencoder, told, unrecorded
from ornstein.interop.diffusers.pipelines.swap import Schedulers
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.clip import Long, Prompts
from ornstein.interop.diffusers.prompts.reader import Reader, no_chunks
from ornstein.interop.diffusers.prompts.t5 import T5Prompts

_TRAINED = 128
"""side of the latents that diffusers' pipeline draws by default; the config does not say"""


def build(index: Index, options: Options) -> Pipeline:
    """The pipeline in a folder: told the scale (dev), or neither told nor guided (schnell)."""
    model = load_part(index, "transformer")
    codec = Autoencoder(load_part(index, "vae"))
    height, width = state_size(options, _TRAINED, codec.reduction, 2)
    first = Prompts(load_part(index, "tokenizer"), load_part(index, "text_encoder"))
    second = T5Prompts(load_part(index, "tokenizer_2"), load_part(index, "text_encoder_2"), 512)
    entries = Schedulers.at(index.path / "scheduler")
    tells = bool(model.config.guidance_embeds)
    mu = shift_by_size(entries, (height // 2) * (width // 2), 1.15)
    return system_of(
        index,
        Packed(model),
        codec,
        (int(model.config.in_channels) // 4, height, width),
        Schedulers(entries, options.eta, mu, even=True),
        prompts=VectorAndText(first, second),
        guidance=3.5 if tells else 1.0,
        steps=28 if tells else 4,
        tells_scale=tells,
    )


@final
class VectorAndText(Reader):
    """CLIP's vector and T5's sequence."""

    def __init__(self, first: Prompts, second: T5Prompts):
        super().__init__()
        self.first, self.second = first, second

    def encode(self, prompts: Sequence[str], skip: int, long: Long) -> dict[str, Tensor]:
        no_chunks(long, "T5")
        return {"text": self.second(prompts)[0], "pooled": self.first.read(prompts, skip).pooled}


@final
class Packed(nn.Module):
    """The velocity of a FluxTransformer2DModel, on latents ``[B, C, h, w]``: it sees patches of 2 x 2 as one token."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model: Any = model

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        rows, columns = x.shape[2] // 2, x.shape[3] // 2
        tokens = x.unflatten(3, (columns, 2)).unflatten(2, (rows, 2)).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        text = told(cond, "text", "a prompt").to(x)
        scale = told(cond, SCALE, "guidance").to(x) if self.model.config.guidance_embeds else None
        with unrecorded():
            out: Tensor = self.model(
                hidden_states=tokens,
                timestep=t / 1000,
                guidance=scale,
                pooled_projections=told(cond, "pooled", "a prompt").to(x),
                encoder_hidden_states=text,
                txt_ids=x.new_zeros(text.shape[1], 3),
                img_ids=_places(rows, columns).to(x),
            ).sample
        patches = out.unflatten(1, (rows, columns)).unflatten(3, (x.shape[1], 2, 2))
        return patches.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _places(rows: int, columns: int) -> Tensor:
    """``[rows columns, 3]``: 0, row, column of each patch."""
    down, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.zeros_like(down), down, across], -1).flatten(0, 1)
