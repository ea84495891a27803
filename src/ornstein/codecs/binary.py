"""Pictures of two values: ones and zeros."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Random


@final
class Binary(Codec):
    """Bytes 0 and 255 <-> int64 0 and 1; ``decode`` gives -1 and 1.

    With a ``threshold`` in 1 .. 255 every byte is taken, and counts as 1 from there on. Without one (0), a value between is
    an error: a grey picture read as a binary one would lose what it shows. Floating-point input lies in [-1, 1].
    """

    def __init__(self, threshold: int = 0):
        super().__init__()
        if not 0 <= threshold <= 255:
            raise UsageError(f"threshold must lie in 1 .. 255, or be 0 for data of two values, got {threshold}")
        self.threshold = threshold

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        if x.is_floating_point():
            if not bool(torch.isfinite(x).all()):
                raise DataError("images hold values that are not finite")
            x = (x + 1) * 127.5
            x = x.round() if self.threshold else x
        elif x.dtype != torch.uint8:
            raise DataError(f"images must be uint8 or floats in [-1, 1], got {x.dtype}")
        if self.threshold:
            return (x >= self.threshold).long()
        odd = (x != 0) & (x != 255)
        if bool(odd.any()):
            raise DataError(
                f"binomial noise is for data of two values, 0 and 255; these hold {float(x[odd][0]):g}, "
                f"{100 * float(odd.double().mean()):.0f} % of them lie between. Binarise the data, or give a threshold "
                "(threshold=128: from there on a value counts as 1)"
            )
        return (x == 255).long()

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return 2 * state.float() - 1
