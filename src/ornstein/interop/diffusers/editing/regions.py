"""Several prompts at once, each for a region of the picture. Bar-Tal et al. 2023, 2302.08113; Liu et al. 2022, 2206.01714."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior, around
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.negative import PREFIX
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.reader import Reader, Wrapped

_REGION = "region"


@dataclass(frozen=True)
class Region:
    """A prompt, and where it holds."""

    prompt: str
    mask: Tensor
    """``[H, W]`` in [0, 1], of any size with the picture's sides in proportion"""


def with_regions(system: Pipeline, regions: Sequence[Region]) -> Pipeline:
    r"""A system that draws each region by its own prompt, and the rest by the call's.

    E[x_0] = (1 - sum_k w_k) D(x_t | base) + sum_k w_k D(x_t | prompt_k) in every evaluation, with w_k the mask at the state's
    size, masks that overlap sharing what they cover: w_k = m_k / max(1, sum m). The negative prompt is the same everywhere. An
    evaluation takes one call more for each region.

    Raises:
        CapabilityError: the system reads no prompts. UsageError: no regions, or regions are set already.
        DataError: a mask of another form, with values outside [0, 1], or that covers nothing.
    """
    if not isinstance(system, Pipeline) or system.prompts is None:
        raise CapabilityError("regions go with a pipeline of diffusers that reads prompts")
    if not regions:
        raise UsageError("give at least one region: a prompt and its mask")
    if any(isinstance(m, ByRegion) for m in system.prompts.modules()):
        raise UsageError("this system has its regions already: give all of them at once")
    _, height, width = system.shape
    masks = torch.stack([_small(region, (height, width)) for region in regions])
    masks = masks / masks.sum(0).clamp_min(1)
    reader = ByRegion(system.prompts, [region.prompt for region in regions], masks)
    return replace(system, prompts=reader, extra={**system.extra, "prompts": reader}, inner=(*system.inner, Regional))


def _small(region: Region, size: tuple[int, int]) -> Tensor:
    """The mask at the state's size."""
    mask, what = region.mask.float(), f"the mask of '{region.prompt}'"
    if mask.ndim != 2:
        raise DataError(f"{what} is [H, W], got {list(mask.shape)}")
    if not bool(((mask >= 0) & (mask <= 1)).all()):
        raise DataError(
            f"{what} lies in [0, 1]; this one reaches from {float(mask.min()):.3g} to {float(mask.max()):.3g}"
        )
    # Sides in proportion, up to the rounding of one pixel.
    if abs(mask.shape[0] * size[1] - mask.shape[1] * size[0]) > max(*mask.shape, *size):
        raise DataError(f"{what} is {mask.shape[0]} x {mask.shape[1]}, out of proportion to this system's picture")
    small = interpolate(mask[None, None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]
    if not bool(small.max() > 1e-3):
        raise DataError(f"{what} covers nothing")
    return small.clamp(0, 1)


@final
class ByRegion(Wrapped):
    """Beside the prompt's conditions those of each region's, under names of their own, and the regions' weights."""

    masks: Tensor

    def __init__(self, inner: Reader, prompts: Sequence[str], masks: Tensor):
        super().__init__(inner)
        self.said = tuple(prompts)
        self.register_buffer("masks", masks, persistent=False)

    def forward(self, n: int, given: Mapping[str, Any], guided: bool = True) -> dict[str, Tensor]:
        out = self.inner(n, given, guided)
        plain = {name: value for name, value in given.items() if name != "negative"}
        for k, prompt in enumerate(self.said):
            words = self.inner(n, {**plain, "prompt": prompt}, False)
            out |= {f"{_REGION}{k}_{name}": value for name, value in words.items()}
            out[f"{_REGION}{k}"] = self.masks[k].expand(n, -1, -1, -1)
            if guided:
                out[f"{PREFIX}{_REGION}{k}"] = torch.zeros_like(out[f"{_REGION}{k}"])
        return out


@final
class Regional(Denoiser):
    """Estimates under several prompts, blended place by place; rows without regions are asked once."""

    def __init__(self, denoiser: Denoiser):
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        rest = {name: value for name, value in cond.items() if not name.startswith(_REGION)}
        base = self.denoiser(x_t, t, rest)
        x_0, k = base.mean, 0
        while (name := f"{_REGION}{k}") in cond:
            weight = cond[name].to(x_t)
            rows = weight.flatten(1).any(1).nonzero().flatten()
            if len(rows):
                words = {key.removeprefix(f"{name}_"): v for key, v in cond.items() if key.startswith(f"{name}_")}
                told = {key: value[rows] for key, value in {**rest, **words}.items()}
                there = self.denoiser(x_t[rows], t if t.ndim == 0 else t[rows], told).mean
                x_0 = x_0.index_add(0, rows, weight[rows] * (there - base.mean[rows]))
            k += 1
        return around(base, x_0)
