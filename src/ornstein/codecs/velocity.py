"""Position and velocity: the state of diffusions in phase space."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random


@final
class WithVelocity(Codec):
    """Another codec's state as positions, and velocities drawn from N(0, ``var``) beside them: ``[B, 2 C, ...]``.

    Decoding drops the velocities. ``var`` is gamma M of :class:`ornstein.processes.cld.CLD`.
    """

    def __init__(self, inner: Codec, var: float):
        super().__init__()
        if not var > 0:
            raise UsageError(f"the velocities' variance must be positive, got {var:g}")
        self.inner, self.var = inner, var

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        position = self.inner.encode(x, rng, cond)
        return torch.cat([position, self.var**0.5 * rng.normal_like(position)], 1)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.inner.decode(state.chunk(2, 1)[0], cond)

    def data_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.inner.data_shape((shape[0] // 2, *shape[1:]))
