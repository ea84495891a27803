r"""Few-step samplers for distilled models, whose ``mean`` is no E[x_0 | x_t] but the end of the flow from x_t.

They are not for plain denoisers: there the law is wrong on every grid, however fine.
"""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import exponential_euler


@final
class TCD(DenoisingSampler):
    r"""To u = (1 - gamma) s along the straight line to f(x_t, t), then noised up to s. gamma = 0 is DDIM's step.

    gamma = 1 is LCM's, x_s = alpha_s f(x_t, t) + sigma_s z (Luo et al. 2023, 2310.04378, algorithm 3); :class:`Renoise` differs
    where the model's boundary lies above 0.


    x_s = alpha_s/alpha_u x_u + sigma_{s|u} z, sigma_{s|u}^2 = sigma_s^2 - (alpha_s/alpha_u)^2 sigma_u^2. Zheng et al. 2024,
    2402.19159 (strategic stochastic sampling).
    """

    needs = GaussianProcess
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, gamma: float = 0.3):
        super().__init__(denoiser)
        if not 0 <= gamma <= 1:
            raise UsageError(f"gamma, the share of noise made anew, must lie in [0, 1]; got {gamma}")
        self.gamma = gamma

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        u = (1 - self.gamma) * s
        x_u = exponential_euler(p, x_t, t, u, self.denoiser(x_t, t, cond).mean)
        ratio = p.alpha(s) / p.alpha(u)
        fresh = (p.sigma(s) ** 2 - (ratio * p.sigma(u)) ** 2).clamp_min(0).sqrt()
        a, b = cast(x_t, ratio, fresh)
        return a * x_u + b * rng.normal_like(x_t), None
