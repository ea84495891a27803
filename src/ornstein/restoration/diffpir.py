"""Plug-and-play: a denoising step and a proximal step of the measurement in turn."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State


@final
class DiffPIR(DenoisingSampler):
    r"""x_0 <- argmin |y - A x|^2 / (2 noise^2) + weight alpha^2/(2 sigma^2) |x - E[x_0]|^2, then to s with the eps it implies.

    The minimum is E[x_0] + A' (A A' + weight noise^2 alpha^2/sigma^2)^-1 (y - A E[x_0]); x_s = alpha_s x_0 +
    sigma_s (sqrt(1 - zeta) eps + sqrt(zeta) z). No derivative of the network, any linear operator. Zhu et al. 2023,
    2305.08995, algorithm 1.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True
    single_level: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, measurement: Measurement, weight: float = 1.0, zeta: float = 0.5):
        super().__init__(denoiser)
        if not weight > 0 or not 0 <= zeta <= 1:
            raise UsageError(f"diffpir needs weight > 0 and zeta in [0, 1], got {weight} and {zeta}")
        self.operator, self.measurement = measurement.linear("diffpir"), measurement
        self.weight, self.zeta = weight, zeta

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p, a, m = self.process, self.operator, self.measurement
        mean = self.denoiser(x_t, t, cond).mean
        ridge = self.weight * max(m.noise, 1e-3) ** 2 * (p.alpha(t) / p.sigma(t)) ** 2
        x_0 = mean + a.adjoint(a.normal_solve(m.residual(mean), 1.0, ridge))
        eps = p.eps(x_t, t, x_0)
        alpha, old, new = cast(x_t, p.alpha(s), p.sigma(s) * (1 - self.zeta) ** 0.5, p.sigma(s) * self.zeta**0.5)
        return alpha * x_0 + old * eps + new * rng.between(x_t, t, s), None
