"""Euler's method for a diffusion that stops where it first hits a target."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.first_hitting import HittingDrift, durations
from ornstein.samplers.base import DenoisingSampler, State


@final
class FirstHitting(DenoisingSampler):
    r"""z <- z + f dtau + sqrt(dtau) xi until z is on the target, where it stays; what went through is put back on it.

    The step to t = 0, which takes tau to infinity, goes on in steps of ``last`` until every sample has hit: none is rounded
    onto the target. Those moves are of a fixed length, so that the error rests at theirs. A sample that has stopped
    draws no more. Ye, Wu & Liu 2022, 2209.01170, algorithm 2.
    """

    needs = HittingDrift
    order: ClassVar[int] = 0
    evaluations: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, last: float = 0.005, most: int = 20_000):
        super().__init__(denoiser)
        if not last > 0:
            raise UsageError(f"last, the length of the steps that finish, must be positive, got {last:g}")
        if most < 1:
            raise UsageError(f"most, the number of steps that finish, must be at least 1, got {most}")
        self.last, self.most = last, most

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        finishing = (s <= 0).expand(len(x_t), *[1] * (x_t.ndim - 1))
        length = torch.where(s > 0, durations(t, torch.where(s > 0, s, t)), torch.full_like(s, self.last))
        z = self._move(x_t, t, length, rng, cond)
        going = finishing.flatten() & ~self.process.stopped(z)
        last = torch.full_like(t, self.last)
        for _ in range(self.most):
            if not bool(going.any()):
                return z, None
            moved = self._move(z, t, last, rng, cond, going)
            z = torch.where(going.reshape(finishing.shape), moved, z)
            going = going & ~self.process.stopped(z)
        raise OrnsteinError(
            f"{int(going.sum())} samples have not hit the target after {self.most} steps of {self.last:g}: check the weights, or "
            "raise most"
        )

    def _move(
        self, z: Tensor, t: Tensor, length: Tensor, rng: Random, cond: Cond, where: Tensor | None = None
    ) -> Tensor:
        p = self.process
        alive = ~p.stopped(z) if where is None else where
        h, root = cast(z, length, length.sqrt())
        pull = p.pull(z, self.denoiser(z, t, cond))
        moved = p.land(z + h * pull + root * rng.normal_where(z, alive))
        return torch.where(alive.reshape(-1, *[1] * (z.ndim - 1)), moved, z)
