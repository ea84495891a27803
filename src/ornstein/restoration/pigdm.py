"""Pseudoinverse guidance: the likelihood of a measurement under a Gaussian guess of p(x_0 | x_t)."""

from __future__ import annotations

from typing import final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior, around
from ornstein.core.errors import UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.shapes import cast, expand, sum_rest
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.tilt import require_gaussian, tilted
from ornstein.processes.base import GaussianProcess
from ornstein.restoration.gradients import with_gradient


@final
class PiGDM(Denoiser):
    r"""grad log p(y | x_t) = J' A' (r_t^2 A A' + s^2 I)^-1 (y - A E[x_0]), J = d E[x_0] / d x_t, added to the score.

    It takes p(x_0 | x_t) = N(E[x_0], r_t^2 I) with r_t^2 = 1 / (1/data_var + alpha^2/sigma^2), exact for data N(0, data_var I):
    their posterior is then drawn exactly. Needs a gradient through the network. Song et al. 2023 (ICLR), "Pseudoinverse-guided
    diffusion models for inverse problems". An operator that rounds (JPEG) is taken as linear around A^+: the paper's
    J'(h^+(y) - h^+(h(E[x_0]))).
    """

    process: GaussianProcess

    def __init__(self, denoiser: Denoiser, measurement: Measurement, data_var: float = 1.0):
        super().__init__()
        if not data_var > 0:
            raise UsageError(f"the variance of the data must be positive, got {data_var}")
        self.denoiser, self.process = denoiser, require_gaussian("pigdm", denoiser)
        self.measurement, self.data_var = measurement, data_var
        if measurement.operator.differentiable:
            measurement.linear("pigdm")

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        spread = 1 / (1 / self.data_var + (self.process.alpha(t) / self.process.sigma(t)) ** 2)

        def value(mean: Tensor) -> Tensor:
            return sum_rest(mean * self._pull(mean.detach(), spread))

        posterior, gradient = with_gradient(self.denoiser, x_t, t, cond, value, "pigdm")
        return around(posterior, tilted(self.process, posterior.mean, t, gradient))

    def _pull(self, mean: Tensor, spread: Tensor) -> Tensor:
        """A' (r^2 A A' + s^2)^-1 (y - A E[x_0]), a constant for the derivative."""
        m = self.measurement
        if not m.operator.differentiable:
            (r2,) = cast(mean, spread)
            return (m.operator.estimate(m.y.to(mean)) - m.operator.estimate(m.operator(mean))) / (r2 + m.noise**2)
        a = m.linear("pigdm")
        return a.adjoint(a.normal_solve(m.residual(mean), spread, m.noise**2))
