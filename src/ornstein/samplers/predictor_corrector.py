"""Predictor-corrector sampling: a Markov chain at each level, then a step to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.correctors import Corrector, Langevin
from ornstein.samplers.reverse_diffusion import ReverseDiffusion

_LANGEVIN = Langevin()


@final
class PredictorCorrector(DenoisingSampler):
    r"""At each time t: the corrector's moves, which leave p_t unchanged, then the predictor's step from t to s.

    Any sampler predicts; any of :mod:`ornstein.samplers.correctors` corrects: Langevin moves (score-SDE), moves accepted by
    the density (MALA, HMC), which make the sampler exact where the denoiser is a sum of scores and not that of any diffused
    law. Unadjusted moves leave a bias that more steps do not remove: order 0. Song et al. 2021, 2011.13456, algorithm 1; Du
    et al. 2023, 2302.11552. State: the predictor's, and each sample's chance of acceptance at this level.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 0
    evaluations: ClassVar[int] = 2
    stochastic: ClassVar[bool] = True

    def __init__(
        self,
        denoiser: Denoiser,
        predictor: Callable[[Denoiser], DenoisingSampler] = ReverseDiffusion,
        corrector: Corrector = _LANGEVIN,
    ):
        super().__init__(denoiser)
        corrector.check(denoiser)
        self.predictor, self.corrector = predictor(denoiser), corrector

    def init(self, x: Tensor, t: Tensor) -> State:
        return self.predictor.init(x, t), None

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        x_t, chance = self.corrector.run(self.denoiser, x_t, t, rng, cond)
        x_s, inner = self.predictor.step(x_t, t, s, state[0], rng, cond)
        return x_s, (inner, chance)

    def start(self) -> float:
        return self.predictor.start()
