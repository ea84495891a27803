"""Images as whole numbers: a few grey levels, for chains on a finite set."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Random


@final
class Levels(Codec):
    """Bytes <-> int64 levels 0 .. values - 1 by equal bins of the 256; ``decode`` gives the bins' places in [-1, 1].

    With 256 values nothing is lost. Floating-point input is taken to lie in [-1, 1] and rounded to the nearest byte.
    States beyond the values (a mask) are decoded as the brightest level.
    """

    def __init__(self, values: int = 256):
        super().__init__()
        if not 2 <= values <= 256:
            raise UsageError(f"values must lie in 2 .. 256, got {values}")
        self.values = values

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        if x.is_floating_point():
            if not bool(torch.isfinite(x).all()):
                raise DataError("images hold values that are not finite")
            x = ((x + 1) * 127.5).round().clamp(0, 255)
        elif x.dtype != torch.uint8:
            raise DataError(f"images must be uint8 or floats in [-1, 1], got {x.dtype}")
        return x.long() * self.values // 256

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return 2 * state.clamp(max=self.values - 1).float() / (self.values - 1) - 1
