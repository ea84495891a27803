"""Annealed Langevin dynamics: some moves at each noise level, from the noisiest down."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.correctors import Langevin
from ornstein.samplers.levels import every, start_with_signal


def langevin_step(ratio: float, moves: int) -> float:
    r"""The step eps/sigma_L^2 of NCSNv2's technique 4, for levels sigma_{i-1}/sigma_i = ``ratio`` and ``moves`` moves at each.

    It brings the noise that is left after the moves nearest to sigma_i: with q = 1 - step and w = 2 step/(1 - q^2), the
    smallest |q^{2 moves} (ratio^2 - w) + w - 1|. Song & Ermon 2020, 2006.09011, proposition 3.
    """
    if not ratio > 1 or moves < 1:
        raise UsageError(f"levels fall by a ratio above 1 and get at least one move, got {ratio} and {moves}")

    def excess(log_step: float) -> float:
        step = math.exp(log_step)
        w = 2 / (2 - step)
        return (1 - step) ** (2 * moves) * (ratio**2 - w) + w - 1

    # From ratio^2 - 1 at no step it falls to one least value; beyond, w alone makes it rise.
    places = [-20 + 20 * i / 4000 for i in range(4000)]
    return math.exp(min(places, key=lambda place: abs(excess(place))))


@final
class AnnealedLangevin(DenoisingSampler):
    r"""y keeps its value when the level falls to s; then ``moves`` times x <- x + h score + sqrt(2h) z, h = step sigma_s^2.

    y = x/alpha. NCSN: step 0.1, 100 moves, 10 levels (Song & Ermon 2019, 1907.05600, algorithm 1, whose alpha_i is 2h).
    NCSNv2: a step by :func:`langevin_step`, few moves, many levels (2006.09011, algorithm 1); the default is its setting for
    CIFAR-10. The step to t = 0 is the denoising E[x_0]. The noise left over at each level is more than it should be by a
    fraction of the step: order 0.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 0
    evaluations: ClassVar[int] = 5
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, step: float = 0.062, moves: int = 5):
        super().__init__(denoiser)
        if not 0 < step < 1:
            raise UsageError(f"step, in units of sigma^2, must lie in (0, 1), got {step}")
        self.langevin = Langevin(snr=math.sqrt(step / 2), moves=moves)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        inner = every(s > 0, t)
        if not bool(inner.any()):
            return self.denoiser(x_t, t, cond).mean, None
        x_0 = x_t if bool(inner.all()) else self.denoiser(x_t, t, cond).mean
        (scale,) = cast(x_t, p.alpha(s) / p.alpha(t))
        x_s, _ = self.langevin.run(self.denoiser, scale * x_t, torch.where(inner, s, t), rng, cond)
        return torch.where(inner, x_s, x_0), None

    def start(self) -> float:
        return start_with_signal(self.process)
