"""Restart sampling: the probability flow, with parts of its way gone again from fresh noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.heun import EDMHeun
from ornstein.samplers.levels import noised


@dataclass(frozen=True)
class Interval:
    """Levels sigma/alpha between which the way is gone again: from ``high`` down to ``low``, in ``steps`` steps."""

    low: float
    high: float
    repeats: int = 1
    steps: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise UsageError(f"a restart interval needs 0 < low < high, got {self.low} and {self.high}")
        if self.repeats < 0 or self.steps < 1:
            raise UsageError(f"a restart interval has repeats >= 0 and steps >= 1, got {self.repeats} and {self.steps}")


@final
class Restart(DenoisingSampler):
    r"""A step of ``solver``; where it crosses an interval's ``low``, ``repeats`` times: noise up to ``high``, the flow down.

    The noise contracts the errors of all earlier steps as an SDE does, while each way down has the accuracy of the flow.
    Raising the noise, x_high ~ q(x_high | x_s), is exact in law. The ways down have Karras's spacing and a number of steps
    of their own, so that their error does not fall with the grid: order 0. The defaults are the intervals of the paper on
    ImageNet 64. Xu et al. 2023, 2306.14878, algorithm 1.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 0
    evaluations: ClassVar[int] = 0
    stochastic: ClassVar[bool] = True
    single_level: ClassVar[bool] = True

    def __init__(
        self,
        denoiser: Denoiser,
        intervals: Sequence[Interval] = (
            Interval(0.06, 0.30, 1, 4),
            Interval(0.30, 0.59, 1, 4),
            Interval(0.59, 1.09, 1, 4),
            Interval(1.09, 1.92, 1, 4),
            Interval(19.35, 40.79, 1, 4),
        ),
        solver: Callable[[Denoiser], DenoisingSampler] = EDMHeun,
    ):
        super().__init__(denoiser)
        self.intervals, self.solver = tuple(intervals), solver(denoiser)
        if self.solver.stochastic:
            raise UsageError(f"Restart walks the probability flow: {type(self.solver).__name__} draws noise of its own")

    def init(self, x: Tensor, t: Tensor) -> State:
        return self.solver.init(x, t)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_s, state = self.solver.step(x_t, t, s, state, rng, cond)
        for interval in sorted(self.intervals, key=lambda i: -i.low):
            low, high = p.time(2 * torch.tensor([interval.low, interval.high]).to(t).log().neg()).clamp(max=p.t_max)
            crossed = (s <= low) & (low < t) & (s < high)
            rows = per_sample(crossed, x_s.shape[0])
            for _ in range(interval.repeats if bool(rows.any()) else 0):
                again = torch.where(crossed, high, t)
                x = torch.where(
                    crossed, noised(p, x_s, s, torch.where(crossed, high, s), rng.normal_where(x_s, rows)), x_t
                )
                x_s = torch.where(crossed, self._down(x, again, s, interval.steps, rng, cond), x_s)
                state = self.solver.init(x_s, s)
        return x_s, state

    def _down(self, x: Tensor, t: Tensor, s: Tensor, steps: int, rng: Random, cond: Cond) -> Tensor:
        """From t to s in equal steps of sigma^(1/7)."""
        p, state = self.process, self.solver.init(x, t)
        top, end = ((p.sigma(u) / p.alpha(u)) ** (1 / 7) for u in (t, s))
        inner = [p.time(-14 * (top + (end - top) * i / steps).log()) for i in range(1, steps)]
        for a, b in pairwise([t, *inner, s]):
            x, state = self.solver.step(x, a, b, state, rng, cond)
        return x
