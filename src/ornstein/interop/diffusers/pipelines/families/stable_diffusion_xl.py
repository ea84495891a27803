"""Stable Diffusion XL: two text encoders, micro-conditions. Podell et al. 2023, 2307.01952."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.interop.diffusers.pipelines.families.base import Options, same_channels, state_size, system_of
from ornstein.interop.diffusers.pipelines.families.stable_diffusion import given_by
from ornstein.interop.diffusers.pipelines.folder import Index, load_part
from ornstein.interop.diffusers.pipelines.networks import Autoencoder, Network
from ornstein.interop.diffusers.pipelines.swap import Schedulers
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.clip import Long, Prompts
from ornstein.interop.diffusers.prompts.reader import Reader

_SIZES = ("original_size", "crop", "target_size")
_SCORES = ("aesthetic_score", "negative_aesthetic_score")


def build(index: Index, options: Options) -> Pipeline:
    """The pipeline in a folder: text to image, image to image (the refiner too), inpainting with 4 and 9 channels."""
    model = load_part(index, "unet")
    codec = Autoencoder(load_part(index, "vae"))
    height, width = state_size(options, model.config.sample_size, codec.reduction)
    given, beside = given_by(index, model.config)
    network = Network(model)
    encoders = []
    if "text_encoder" in index.parts:
        encoders.append(Prompts(load_part(index, "tokenizer"), load_part(index, "text_encoder"), deep=True))
    encoders.append(Prompts(load_part(index, "tokenizer_2"), load_part(index, "text_encoder_2"), deep=True))
    reader = Micro(
        encoders,
        (height * codec.reduction, width * codec.reduction),
        zeros=bool(index.settings.get("force_zeros_for_empty_prompt", True)),
        scored=bool(index.settings.get("requires_aesthetics_score", False)),
    )
    return system_of(
        index,
        network,
        codec,
        (same_channels(model.config, beside), height, width),
        Schedulers(Schedulers.at(index.path / "scheduler"), options.eta),
        prompts=reader,
        guidance=5.0,
        given=given,
        tells_scale=network.scale_width is not None,
    )


@final
class Micro(Reader):
    """Two encoders' sequences side by side, the second's vector, and what training pictures were: size, crop, score.

    Without a negative prompt the network is told zeros where ``zeros`` (``force_zeros_for_empty_prompt``).
    """

    known: ClassVar[tuple[str, ...]] = (*Reader.known, *_SIZES, *_SCORES)

    def __init__(self, encoders: Sequence[Prompts], size: tuple[int, int], zeros: bool, scored: bool):
        super().__init__()
        self.encoders = torch.nn.ModuleList(encoders)
        self.size, self.zeros, self.scored = size, zeros, scored

    def encode(self, prompts: Sequence[str], skip: int, long: Long) -> dict[str, Tensor]:
        found = [encoder.read(prompts, skip, long) for encoder in self.encoders]  # type: ignore[operator]
        return {"text": torch.cat([read.text for read in found], -1), "pooled": found[-1].pooled}

    def nothing(self, like: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        return {name: torch.zeros_like(value) for name, value in like.items()} if self.zeros else None

    def more(
        self, n: int, given: Mapping[str, Any], words: dict[str, Tensor], against: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        original = _pair(given, "original_size", self.size)
        crop = _pair(given, "crop", (0, 0))
        if self.scored:
            if given.get("target_size") is not None:
                raise UsageError("this network is told an aesthetic_score in place of target_size")
            ends: list[list[float]] = [[float(given.get(k) or v)] for k, v in zip(_SCORES, (6.0, 2.5), strict=True)]
        else:
            if any(given.get(k) is not None for k in _SCORES):
                raise UsageError("this network is told no aesthetic_score")
            target = _pair(given, "target_size", self.size)
            ends = [target, target]
        ids = [torch.tensor([[*original, *crop, *end]]).expand(n, -1) for end in ends]
        return {**words, "time_ids": ids[0]}, {**against, "time_ids": ids[1]}


def _pair(given: Mapping[str, Any], name: str, default: tuple[int, int]) -> list[float]:
    value = given.get(name) or default
    if len(value) != 2:
        raise UsageError(f"{name} is a pair of numbers of pixels, height first, got {value}")
    return [float(v) for v in value]
