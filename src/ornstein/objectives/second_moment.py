r"""Importance sampling of the step by the second moment of its loss."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.objectives.times import Times


@final
class LossSecondMoment(nn.Module, Times):
    r"""t = n/T with p_n proportional to sqrt(E[L_n^2]); the weight 1/(T p_n) keeps the mean of the loss.

    The moments come from the last ``history`` losses of each step. Until every step has that many, n is uniform; afterwards
    p is mixed with a share ``uniform`` of the uniform law. Nichol & Dhariwal 2021, section 3.3. The losses are a buffer, so a
    module that holds this law saves and resumes it.
    """

    losses: Tensor
    counts: Tensor

    def __init__(self, steps: int, history: int = 10, uniform: float = 1e-3):
        super().__init__()
        if steps < 1 or history < 1:
            raise UsageError(f"a history of losses needs steps and history of at least 1, got {steps} and {history}")
        if not 0 < uniform <= 1:
            raise UsageError(f"the uniform share must lie in (0, 1], got {uniform}")
        self.steps, self.history, self.uniform = steps, history, uniform
        self.register_buffer("losses", torch.zeros(steps, history))
        self.register_buffer("counts", torch.zeros(steps))

    @property
    def warm(self) -> bool:
        """Whether every step has its full history."""
        return bool((self.counts >= self.history).all())

    def probabilities(self) -> Tensor:
        """p_n, ``[T]`` float64."""
        flat = torch.full((self.steps,), 1 / self.steps, dtype=torch.float64, device=self.losses.device)
        if not self.warm:
            return flat
        root = (self.losses.double() ** 2).mean(1).sqrt()
        return (1 - self.uniform) * root / root.sum() + self.uniform * flat

    def __call__(self, rng: Random, n: int) -> Tensor:
        drawn = rng.categorical(self.probabilities().log().cpu().expand(n, self.steps))
        return (drawn.double() + 1) / self.steps

    def _index(self, t: Tensor) -> Tensor:
        return (t.reshape(-1) * self.steps).round().long() - 1

    def weight(self, t: Tensor) -> Tensor:
        """1/(T p_n) of the drawn times, ``[B]``."""
        return 1 / (self.steps * self.probabilities()[self._index(t)])

    @torch.no_grad()
    def record(self, t: Tensor, losses: Tensor) -> None:
        """Take in the unweighted loss of each drawn time; the oldest of a full history goes."""
        for n, loss in zip(self._index(t).tolist(), losses.detach().reshape(-1).tolist(), strict=True):
            place = int(self.counts[n])
            if place < self.history:
                self.losses[n, place] = loss
                self.counts[n] += 1
            else:
                self.losses[n] = torch.cat([self.losses[n, 1:], self.losses.new_tensor([loss])])
