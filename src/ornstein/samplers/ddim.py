"""DDIM: the non-Markov family with DDPM's marginals; eta = 0 is deterministic."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import ddim, exponential_euler


@final
class DDIM(DenoisingSampler):
    r"""x_s = alpha_s x_0 + sqrt(sigma_s^2 - v^2) eps + v z, v^2 = eta^2 sigma_s^2 (1 - SNR_t / SNR_s).

    eta = 0 is the exponential-Euler step of the probability flow, eta = 1 ancestral sampling with beta~. It converges
    at order 1 in the step of sigma/alpha. Song et al. 2020, 2010.02502, eqs. 12 and 16.
    """

    needs = Affine
    order: ClassVar[int] = 1

    def __init__(self, denoiser: Denoiser, eta: float = 0.0):
        super().__init__(denoiser)
        if not 0 <= eta <= 1:
            raise UsageError(f"eta must lie in [0, 1]: beyond 1 the noise exceeds sigma_s; got {eta}")
        self.eta = eta

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        if self.eta == 0:
            return exponential_euler(p, x_t, t, s, x_0), None
        return ddim(p, x_t, t, s, x_0, self.eta, rng.between(x_t, t, s)), None
