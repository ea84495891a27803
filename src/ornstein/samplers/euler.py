"""Euler's method for the probability flow, in time t."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.processes.base import Affine
from ornstein.processes.remember import recall
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.flow import rates


@final
class Euler(DenoisingSampler):
    r"""x_s = x_t + (s - t) dx/dt; order 1 in t. The step to t = 0 returns E[x_0], where the flow ends.

    On flow matching and on EDM's process this is DDIM as well; on the others the two differ by the coordinate in
    which they are straight.
    """

    needs = Affine
    order: ClassVar[int] = 1

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        x_0 = self.denoiser(x_t, t, cond).mean

        def factors() -> tuple[Tensor, ...]:
            a, b = rates(self.process, t)
            keep, add = 1 + (s - t) * a, (s - t) * b
            return cast(x_t, torch.where(s > 0, keep, 0.0), torch.where(s > 0, add, 1.0))

        keep, add = recall(self.process, ("euler", x_t.dtype), (t, s), factors)
        return keep * x_t + add * x_0, None
