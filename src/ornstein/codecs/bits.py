"""Whole numbers as analog bits: real numbers that are thresholded at the end."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.codecs.levels import Levels
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Random


@final
class AnalogBits(Codec):
    r"""Images of 2^bits levels <-> ``[B, C bits, H, W]`` of +-scale: bit j of channel c lies at c bits + j, lowest
    first.

    ``code`` "binary" writes the level, "gray" its Gray code, in which neighbouring levels differ in one bit. Decoding
    asks for the sign of each number alone. Chen, Zhang & Hinton 2023, 2208.04202.
    """

    def __init__(self, bits: int = 8, scale: float = 1.0, code: Literal["binary", "gray"] = "binary"):
        super().__init__()
        if not 1 <= bits <= 8:
            raise UsageError(f"bits must lie in 1 .. 8, got {bits}")
        if not scale > 0:
            raise UsageError(f"scale must be positive, got {scale}")
        self.bits, self.scale, self.code = bits, scale, code
        self.levels = Levels(2**bits)

    def spread(self, levels: Tensor) -> Tensor:
        """int64 ``[B, C, H, W]`` -> bits."""
        if levels.is_floating_point():
            raise DataError(f"levels are whole numbers, got {levels.dtype}")
        if bool((levels < 0).any()) or bool((levels >= 2**self.bits).any()):
            raise DataError(
                f"levels must lie in 0 .. {2**self.bits - 1} ({self.bits} bits), got {int(levels.min())} .. {int(levels.max())}"
            )
        word = levels ^ (levels >> 1) if self.code == "gray" else levels
        places = torch.arange(self.bits, device=levels.device).reshape(1, 1, -1, 1, 1)
        return (2 * ((word.unsqueeze(2) >> places) & 1) - 1).flatten(1, 2).float() * self.scale

    def gather(self, state: Tensor) -> Tensor:
        """Bits -> int64 ``[B, C, H, W]``."""
        if state.shape[1] % self.bits:
            raise DataError(f"{state.shape[1]} channels are not a multiple of {self.bits} bits")
        word = (state.unflatten(1, (-1, self.bits)) > 0).long()
        if self.code == "gray":  # each bit of the level is the parity of the bits at and above it
            word = word.flip(2).cumsum(2).flip(2) % 2
        places = torch.arange(self.bits, device=state.device).reshape(1, 1, -1, 1, 1)
        return (word << places).sum(2)

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return self.spread(self.levels.encode(x, rng, cond))

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.levels.decode(self.gather(state), cond)

    def data_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[0] // self.bits, *shape[1:]
