"""Codecs: data <-> the state in which diffusion happens. A codec may not look at t."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Random


class Codec(nn.Module, ABC):
    """``decode(encode(x))`` is x, up to what the codec loses and says it loses."""

    separable: ClassVar[bool] = True
    """whether each number of the state belongs to one value of the data: the bins of bytes are bins of the state then"""

    @abstractmethod
    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        """Data -> state; ``rng`` for those that draw (a VAE's posterior, dequantisation)."""

    @abstractmethod
    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        """State -> data."""

    def log_volume(self, x: Tensor) -> Tensor:
        """log |d state / d data| of each sample, ``[B]`` float64, for floating-point data: what a density needs.

        Raises:
            CapabilityError: the state is no smooth bijection of the data, or its volume is not known.
        """
        raise CapabilityError(
            f"data have no density in the state of {type(self).__name__}: it is no bijection whose volume is known. "
            "Ask for the likelihood of a system in the data's own space"
        )

    def data_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one sample of the data whose state has this ``shape``; the same where a codec does not say."""
        return shape

    def preview(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        """A quick look at an unfinished state; the full decoding unless a codec has something cheaper."""
        return self.decode(state, cond)


@final
class Identity(Codec):
    """The state is the data: vectors, points, anything that is scaled already."""

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        if not x.is_floating_point():
            raise DataError(
                f"the identity codec takes floating-point data, got {x.dtype}; use Scale for images of bytes"
            )
        return x

    def log_volume(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), dtype=torch.float64, device=x.device)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return state


@final
class Scale(Codec):
    r"""Bytes <-> [-1, 1] * ``scale``: state = scale (2 x / 255 - 1).

    ``scale`` sets the data's standard deviation where a process assumes one (EDM: sigma_data). Floating-point input is
    taken to lie in [-1, 1] already. ``decode`` returns floats, clamped to [-1, 1]; :func:`to_bytes` rounds them.
    """

    def __init__(self, scale: float = 1.0):
        super().__init__()
        if not scale > 0:
            raise UsageError(f"scale must be positive, got {scale}")
        self.scale = scale

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        if x.dtype == torch.uint8:
            return x.float().mul_(2 * self.scale / 255).sub_(self.scale)
        if not x.is_floating_point():
            raise DataError(f"images must be uint8 or floats in [-1, 1], got {x.dtype}")
        return x * self.scale

    def log_volume(self, x: Tensor) -> Tensor:
        return torch.full((len(x),), x[0].numel() * math.log(self.scale), dtype=torch.float64, device=x.device)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return (state / self.scale).clamp(-1, 1)


def to_bytes(x: Tensor) -> Tensor:
    """[-1, 1] -> uint8, rounded to the nearest."""
    return ((x.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
