"""Langevin steps at falling noise levels, for denoisers that know a score and no more."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Score
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State


@final
class ScoreAnnealing(DenoisingSampler):
    r"""``inner`` times at level t: x <- x + (r/2) sigma_t^2 score + sqrt(r) sigma_t z; then the next level. Song &
    Ermon 2019.

    The step to t = 0 has none of its own: the last level is what remains. Gaussian z whatever the law of the noise was.
    """

    needs = Affine
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, inner: int = 5, rate: float = 0.1):
        super().__init__(denoiser)
        if inner < 1 or not 0 < rate < 2:
            raise UsageError(f"annealing needs inner >= 1 and 0 < rate < 2, got {inner} and {rate}")
        self.inner, self.rate = inner, rate

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        sigma = self.process.sigma(t)
        drift, noise = cast(x_t, 0.5 * self.rate * sigma**2, self.rate**0.5 * sigma)
        x = x_t
        for _ in range(self.inner):
            posterior = self.denoiser(x, t, cond)
            if not isinstance(posterior, Score):
                raise CapabilityError(
                    f"score_annealing needs a denoiser that gives a score, got {type(posterior).__name__}; take another sampler"
                )
            x = x + drift * posterior.score + noise * rng.normal_like(x)
        return x, None
