"""Moment matching: as pseudoinverse guidance, with the covariance that the denoiser's own derivative implies."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior, around
from ornstein.core.errors import UsageError
from ornstein.core.linear_solve import conjugate_gradient
from ornstein.core.measurement import Measurement
from ornstein.core.shapes import cast, expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.tilt import require_gaussian
from ornstein.processes.base import GaussianProcess
from ornstein.restoration.gradients import detached

FLOOR = 1e-4
"""Least noise variance in the solve: a measurement without noise makes it singular where the denoiser is certain."""


@final
class MMPS(Denoiser):
    r"""E[x_0 | x_t, y] = E[x_0] + V A' (s^2 I + A V A')^-1 (y - A E[x_0]), V = sigma^2/alpha d E[x_0] / d x_t.

    V is the covariance of p(x_0 | x_t) exactly (Tweedie); the Gaussian with it is exact for Gaussian data of any covariance.
    The system is solved by ``steps`` conjugate gradients, each with one derivative through the network; the shift is the sum of
    what they met on the way, and costs none. Rozet et al. 2024, 2405.13712.
    """

    process: GaussianProcess

    def __init__(self, denoiser: Denoiser, measurement: Measurement, steps: int = 2):
        super().__init__()
        if steps < 1:
            raise UsageError(f"mmps needs at least 1 step of conjugate gradients, got {steps}")
        self.denoiser, self.process = denoiser, require_gaussian("mmps", denoiser)
        self.operator = measurement.linear("mmps")
        self.measurement, self.steps = measurement, steps

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        a = self.operator
        (scale,) = cast(x_t, self.process.sigma(t) ** 2 / self.process.alpha(t))
        with torch.enable_grad():
            x = x_t.detach().requires_grad_()
            posterior = self.denoiser(x, t, cond)
            mean = posterior.mean

            noise = max(self.measurement.noise**2, FLOOR)
            spread = shift = torch.zeros_like(mean)

            def whole(v: Tensor) -> Tensor:
                """(s^2 I + A V A') v; V A' v is kept."""
                nonlocal spread
                (g,) = torch.autograd.grad(mean, x, a.adjoint(v).to(mean), retain_graph=True)
                spread = scale * g
                return noise * v + a(spread)

            def follow(gained: Tensor) -> None:
                nonlocal shift
                shift = shift + gained.to(spread) * spread

            conjugate_gradient(whole, self.measurement.residual(mean.detach()), steps=self.steps, follow=follow)
        return around(detached(posterior), mean.detach() + shift)
