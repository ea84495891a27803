"""Euler's method for the probability flow, in time t."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.flow import velocity


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
        (h,) = cast(x_t, s - t)
        x_s = x_t + h * velocity(self.process, x_t, t, x_0)
        return torch.where(s > 0, x_s, x_0), None
