"""DDIM for a network that is shown its own last estimate."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State


@final
class SelfConditioned(DenoisingSampler):
    r"""x_s = alpha_u x_0 + sigma_u eps with x_0 = clip(E[x_0 | x_t, estimate]), which is the next step's estimate; u
    = s - d (t - s).

    ``estimate`` False shows none. ``difference`` d > 0 leaves less noise than the network will be told ("asymmetric
    time intervals"), u no less than 0. The last step returns the estimate itself. Chen, Zhang & Hinton 2023,
    2208.04202, algorithm 2.
    """

    needs = Affine
    order: ClassVar[int] = 1

    def __init__(self, denoiser: Denoiser, bound: float = 1.0, difference: float = 0.0, estimate: bool = True):
        super().__init__(denoiser)
        if not bound > 0:
            raise UsageError(f"bound must be positive, got {bound}")
        if difference < 0:
            raise UsageError(f"difference, in steps, must be >= 0, got {difference}")
        self.bound, self.difference, self.estimate = bound, difference, estimate

    def init(self, x: Tensor, t: Tensor) -> State:
        """No estimate yet, said for each sample, so that a batch may hold runs that begin and runs that go on."""
        return torch.full_like(x, torch.nan)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        shown = {**cond, "estimate": state} if self.estimate else cond
        x_0 = self.denoiser(x_t, t, shown).mean.clamp(-self.bound, self.bound)
        u = (s - self.difference * (t - s)).clamp_min(0)
        alpha, sigma = cast(x_t, p.alpha(u), p.sigma(u))
        x_s = torch.where(s > 0, alpha * x_0 + sigma * p.eps(x_t, t, x_0), x_0)
        return x_s, x_0
