"""What interpolation leaves out: a large picture as its difference from a small one, enlarged."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec, Scale
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.enlarge import enlarged
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random


@final
class Residual(Codec):
    r"""x <-> clip(factor (x - up(y)), -1, 1), y = ``cond[name]`` the small picture ``[B, C, h, w]``; without one up(y) = 0.

    ``size`` is that of the large pictures. Differences beyond 1/factor are cut off. Li et al. 2022, 2104.14951 (factor 2).
    """

    def __init__(self, name: str, size: tuple[int, int], factor: float = 2.0):
        super().__init__()
        if not factor > 0:
            raise UsageError(f"the factor of a residual must be positive, got {factor}")
        self.name, self.size, self.factor = name, size, factor
        self._scale = Scale()

    def _up(self, like: Tensor, cond: Cond) -> Tensor:
        small = cond.get(self.name)
        return torch.zeros_like(like) if small is None else enlarged(small.to(like).nan_to_num(0.0), self.size)

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        data = self._scale.encode(x, rng)
        return (self.factor * (data - self._up(data, cond))).clamp(-1, 1)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return (state.clamp(-1, 1) / self.factor + self._up(state, cond)).clamp(-1, 1)
