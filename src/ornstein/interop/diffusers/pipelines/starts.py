"""What a drawing starts from: noise, a picture, a picture with a part to fill in, a depth map, a small picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ornstein.codecs.base import Codec
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random, Rng
from ornstein.core.shapes import cast, expand
from ornstein.processes.base import Affine
from ornstein.processes.gaussian import FlowMatching
from ornstein.samplers.around import Around
from ornstein.samplers.base import Sampler, State

PICTURE, MASK, DEPTH, LEVEL = "picture", "mask", "depth", "level"
"""Conditions that a start takes out before the network is asked."""
BESIDE = "beside"
"""``[B, C, h, w]``: channels that the network reads beside the state's own."""
_KEPT, _NOISE, _ANEW = "kept", "kept_noise", "anew"


@dataclass(frozen=True)
class Scene:
    """What a start needs of the pipeline."""

    codec: Codec
    process: Affine
    shape: tuple[int, ...]
    deviation: float
    """of the noise that sampling begins with"""
    small: Affine | None = None
    """the process that noises a small picture to be enlarged"""


class Start(ABC):
    """Where on the grid sampling begins, and with what."""

    strength: float = 1.0

    def cut(self, grid: Tensor, steps: int, process: Affine) -> Tensor:
        """The part of the grid that is walked: the last ``strength`` of the steps, rounded as each kind of model does."""
        if isinstance(process, FlowMatching):
            first = int(steps - min(steps * self.strength, steps))
        else:
            first = steps - min(int(steps * self.strength), steps)
        if first >= min(steps, len(grid) - 1):
            raise UsageError(f"strength = {self.strength:g} of {steps} steps leaves none to make: raise either")
        return grid[first:]

    @abstractmethod
    def first(self, scene: Scene, rng: Rng, t: Tensor, cond: Cond) -> tuple[Tensor, Cond]:
        """The first state, at time ``t``, and the conditions for the network."""

    def wrap(self, sampler: Sampler[Tensor], process: Affine) -> Sampler[Tensor]:
        """The sampler that is run."""
        return sampler


@final
@dataclass(frozen=True)
class FromNoise(Start):
    """Text to image."""

    def first(self, scene: Scene, rng: Rng, t: Tensor, cond: Cond) -> tuple[Tensor, Cond]:
        return rng.normal((len(rng), *scene.shape)) * scene.deviation, cond


@final
@dataclass(frozen=True)
class FromPicture(Start):
    """Image to image: x_t = alpha_t E(picture) + sigma_t z, and from there on. Meng et al. 2022, 2108.01073.

    With a depth map the network reads it beside the state, scaled to [-1, 1].
    """

    strength: float = 0.8

    def first(self, scene: Scene, rng: Rng, t: Tensor, cond: Cond) -> tuple[Tensor, Cond]:
        cond, picture, depth = _without(cond, PICTURE), cond[PICTURE], cond.get(DEPTH)
        if depth is not None:
            cond = {**_without(cond, DEPTH), BESIDE: _depth(depth, scene.shape)}
        x_0 = scene.codec.encode(picture, rng)
        return _noised(scene.process, x_0, rng.normal_like(x_0), t), cond


@final
@dataclass(frozen=True)
class Inpaint(Start):
    """Inpainting with a network of plain pictures: after each step what is to stay is put back, at that step's noise.

    The mask is 1 where the picture is drawn anew. All steps use the same noise, that of the start.
    """

    strength: float = 1.0

    def first(self, scene: Scene, rng: Rng, t: Tensor, cond: Cond) -> tuple[Tensor, Cond]:
        picture, mask = cond[PICTURE], cond[MASK]
        x_0 = scene.codec.encode(picture, rng)
        z = rng.normal_like(x_0)
        x = scene.deviation * z if self.strength == 1 else _noised(scene.process, x_0, z, t)
        rest = _without(_without(cond, PICTURE), MASK)
        return x, {**rest, _KEPT: x_0, _NOISE: z, _ANEW: interpolate(mask, size=scene.shape[1:])}

    def wrap(self, sampler: Sampler[Tensor], process: Affine) -> Sampler[Tensor]:
        return PutBack(sampler, process)


@final
@dataclass(frozen=True)
class InpaintBeside(Start):
    """Inpainting with a network that reads the mask and what is to stay, in five channels beside the state's four."""

    strength: float = 1.0

    def first(self, scene: Scene, rng: Rng, t: Tensor, cond: Cond) -> tuple[Tensor, Cond]:
        picture, mask = cond[PICTURE], cond[MASK]
        if self.strength == 1:
            x = scene.deviation * rng.normal((len(rng), *scene.shape)).to(picture)
        else:
            x_0 = scene.codec.encode(picture, rng)
            x = _noised(scene.process, x_0, rng.normal_like(x_0), t)
        stays = scene.codec.encode(picture * (mask < 0.5), rng)
        beside = torch.cat([interpolate(mask, size=scene.shape[1:]), stays], 1)
        return x, {**_without(_without(cond, PICTURE), MASK), BESIDE: beside}


@final
@dataclass(frozen=True)
class Enlarge(Start):
    """Upscaling: the network reads the small picture, noised to a level that it is told, beside the state."""

    level: int = 20

    def first(self, scene: Scene, rng: Rng, t: Tensor, cond: Cond) -> tuple[Tensor, Cond]:
        assert scene.small is not None
        picture = cond[PICTURE]
        schedule: Any = scene.small.schedule
        at = torch.tensor((self.level + 1) / schedule.steps, dtype=torch.float64)
        beside = _noised(scene.small, picture, rng.normal_like(picture), at)
        x = scene.deviation * rng.normal((len(rng), *scene.shape))
        levels = torch.full((len(rng),), self.level, device=picture.device)
        return x, {**_without(cond, PICTURE), BESIDE: beside, LEVEL: levels}


@final
class PutBack(Around):
    r"""x_s <- m x_s + (1 - m)(alpha_s x_0 + sigma_s z) after each step, with one z for all; x_0 itself at the end."""

    def __init__(self, sampler: Sampler[Tensor], process: Affine):
        super().__init__(sampler)
        self.process = process

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        inner = {name: value for name, value in cond.items() if name not in (_KEPT, _NOISE, _ANEW)}
        x_s, state = self.sampler.step(x_t, t, s, state, rng, inner)
        kept, anew = _noised(self.process, cond[_KEPT], cond[_NOISE], s), cond[_ANEW]
        return anew * x_s + (1 - anew) * kept, state


def _noised(process: Affine, x_0: Tensor, z: Tensor, t: Tensor) -> Tensor:
    t = expand(t.to(x_0.device), x_0)
    a, b = cast(x_0, process.alpha(t), process.sigma(t))
    return a * x_0 + b * z


def _depth(depth: Tensor, shape: tuple[int, ...]) -> Tensor:
    small = interpolate(depth, size=shape[1:], mode="bicubic", align_corners=False)
    low, high = small.amin((1, 2, 3), keepdim=True), small.amax((1, 2, 3), keepdim=True)
    return 2 * (small - low) / (high - low) - 1


def _without(cond: Cond, name: str) -> dict[str, Tensor]:
    return {key: value for key, value in cond.items() if key != name}
