"""Stable Diffusion 3: three text encoders, flow matching. Esser et al. 2024, 2403.03206."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ornstein.core.cond import NO_COND, Cond
from ornstein.interop.diffusers.pipelines.families.base import Options, same_channels, state_size, system_of
from ornstein.interop.diffusers.pipelines.folder import Index, load_part
from ornstein.interop.diffusers.pipelines.networks import Autoencoder, told, unrecorded
from ornstein.interop.diffusers.pipelines.swap import Schedulers
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.clip import Long, Prompts
from ornstein.interop.diffusers.prompts.reader import Reader, no_chunks
from ornstein.interop.diffusers.prompts.t5 import T5Prompts

_TOKENS = 256
"""of T5, as many as diffusers' pipeline gives it"""


def build(index: Index, options: Options) -> Pipeline:
    """The pipeline in a folder; without T5 its part of the sequence is zeros."""
    model = load_part(index, "transformer")
    codec = Autoencoder(load_part(index, "vae"))
    patch = int(model.config.patch_size)
    height, width = state_size(options, model.config.sample_size, codec.reduction, patch)
    pair = [
        Prompts(load_part(index, f"tokenizer{n}"), load_part(index, f"text_encoder{n}"), deep=True) for n in ("", "_2")
    ]
    long = None
    if "text_encoder_3" in index.parts:
        long = T5Prompts(load_part(index, "tokenizer_3"), load_part(index, "text_encoder_3"), _TOKENS)
    entries = Schedulers.at(index.path / "scheduler")
    return system_of(
        index,
        Joint(model),
        codec,
        (same_channels(model.config), height, width),
        Schedulers(entries, options.eta, shift_by_size(entries, (height // patch) * (width // patch), 1.16)),
        prompts=Three(pair, long, int(model.config.joint_attention_dim)),
        guidance=7.0,
        steps=28,
    )


def shift_by_size(entries: Mapping[str, Any], patches: int, most: float) -> float | None:
    """mu, linear in the number of patches, where the scheduler shifts by the picture's size; None where it does not.

    ``most`` is the shift of the largest size where the file names none.
    """
    if not entries.get("use_dynamic_shifting"):
        return None
    few, many = entries.get("base_image_seq_len", 256), entries.get("max_image_seq_len", 4096)
    low, high = entries.get("base_shift", 0.5), entries.get("max_shift", most)
    slope = (high - low) / (many - few)
    return float(patches * slope + low - slope * few)


@final
class Three(Reader):
    """Two CLIP sequences side by side, padded to T5's width, T5's after them; both CLIP vectors."""

    def __init__(self, pair: Sequence[Prompts], long: T5Prompts | None, width: int):
        super().__init__()
        self.pair, self.long, self.width = nn.ModuleList(pair), long, width

    def encode(self, prompts: Sequence[str], skip: int, long: Long) -> dict[str, Tensor]:
        no_chunks(long, "a network that reads CLIP and T5 in one sequence")
        found = [encoder.read(prompts, skip) for encoder in self.pair]  # type: ignore[operator]
        text = torch.cat([read.text for read in found], -1)
        after = text.new_zeros(len(prompts), _TOKENS, self.width) if self.long is None else self.long(prompts)[0]
        text = torch.cat([pad(text, (0, after.shape[-1] - text.shape[-1])), after], 1)
        return {"text": text, "pooled": torch.cat([read.pooled for read in found], -1)}


@final
class Joint(nn.Module):
    """The velocity of an SD3Transformer2DModel."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model: Any = model

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        with unrecorded():
            out: Tensor = self.model(
                hidden_states=x,
                timestep=t,
                encoder_hidden_states=told(cond, "text", "a prompt").to(x),
                pooled_projections=told(cond, "pooled", "a prompt").to(x),
            ).sample
        return out
