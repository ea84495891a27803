"""A normalising flow as a codec: the state is Gaussian noise, and no information is lost."""

from __future__ import annotations

from typing import final

from torch import Tensor

from ornstein.codecs.base import Codec, Scale
from ornstein.core.bijection import Bijection
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random


@final
class Flow(Codec):
    """Bytes, or floats in [-1, 1], through a bijection; ``decode`` clamps images to [-1, 1].

    ``bounded`` says whether there is such a range. Dinh et al. 2016 (1605.08803).
    """

    def __init__(self, bijection: Bijection, bounded: bool = True):
        super().__init__()
        self.bijection, self.bounded = bijection, bounded
        self.scale = Scale()

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return self.bijection(self.scale.encode(x, rng))[0]

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        x = self.bijection.inverse(state)
        return x.clamp(-1, 1) if self.bounded else x

    def log_volume(self, x: Tensor) -> Tensor:
        dtype = next(self.bijection.parameters()).dtype
        return self.bijection(x.to(dtype))[1].double()
