"""RePaint: the known part is put back at each level, and the way is gone several times so that both parts agree."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Denoiser
from ornstein.measurements.mask import Mask
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import noised


@final
class RePaint(DenoisingSampler):
    r"""A step of the grid is ``jump`` ancestral steps down; ``repeats`` times, with x_t ~ q(x_t | x_s) in between.

    After each small step x <- mask q-draw(y) + (1 - mask) x at the level reached; at s = 0 the known part is y itself. With
    N steps of the grid it costs N jump repeats evaluations; the published schedule is N = 25, jump = 10, repeats = 10.
    Lugmayr et al. 2022, 2201.09865, algorithm 1 and section 4.2.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 0
    evaluations: ClassVar[int] = 0
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, measurement: Measurement, jump: int = 5, repeats: int = 5):
        super().__init__(denoiser)
        if not isinstance(measurement.operator, Mask):
            raise UsageError(
                f"repaint fills in what a mask hides, not {measurement.operator.name}; use ddnm, ddrm or pigdm"
            )
        if jump < 1 or repeats < 1:
            raise UsageError(f"repaint needs jump >= 1 and repeats >= 1, got {jump} and {repeats}")
        self.mask, self.y = measurement.operator, measurement.y
        self.jump, self.repeats = jump, repeats
        self.inner = Ancestral(denoiser)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p, known = self.process, self.mask.known.to(x_t)
        times = [t + (s - t) * i / self.jump for i in range(self.jump)] + [s]
        x = x_t
        for again in range(self.repeats):
            if again:
                x = noised(p, x, s, t, rng.normal_like(x))
            for u, v in pairwise(times):
                x, _ = self.inner.step(x, u, v, None, rng, cond)
                drawn = p.marginal(self.y.to(x), v).sample(rng)
                x = torch.where(known == 1, drawn, x)
        return x, None
