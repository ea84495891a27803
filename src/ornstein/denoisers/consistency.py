"""Parametrisations of consistency functions, which map every point of a flow's path to its end."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.distributions import Dirac
from ornstein.core.errors import UsageError
from ornstein.core.shapes import cast
from ornstein.denoisers.parametrizations import Parametrization
from ornstein.processes.base import Affine


@final
class ConsistencyScaling(Parametrization):
    r"""f = c_skip x + c_out F(c_in x; ln(sigma)/4) with f(x, epsilon) = x exactly, on x = x_t/alpha_t, sigma =
    sigma_t/alpha_t.

    c_skip = d^2/((sigma - epsilon)^2 + d^2), c_out = d (sigma - epsilon)/sqrt(sigma^2 + d^2), c_in = 1/sqrt(sigma^2 +
    d^2), d = sigma_data. Song et al. 2023, 2303.01469, appendix C: EDM's coefficients moved so that the boundary is
    at epsilon, not at 0, where no network is asked.
    """

    def __init__(self, sigma_data: float = 0.5, epsilon: float = 0.002):
        if not sigma_data > 0:
            raise UsageError(f"sigma_data must be positive, got {sigma_data}")
        if not epsilon >= 0:
            raise UsageError(f"epsilon, the noise level of the boundary, must be >= 0, got {epsilon}")
        self.sigma_data, self.epsilon = sigma_data, epsilon

    def _coefficients(self, process: Affine, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """sigma, c_skip / alpha and c_out."""
        alpha = process.alpha(t)
        sigma, d = process.sigma(t) / alpha, self.sigma_data
        above = sigma - self.epsilon
        # The grid's last level is epsilon up to rounding; there c_out must be 0, not 1e-18.
        above = torch.where(above.abs() < 1e-9 * (1 + self.epsilon), torch.zeros_like(above), above)
        return sigma, d**2 / (above**2 + d**2) / alpha, d * above / (sigma**2 + d**2).sqrt()

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha = process.alpha(t)
        sigma = process.sigma(t) / alpha
        (c_in,) = cast(x_t, 1 / (alpha * (sigma**2 + self.sigma_data**2).sqrt()))
        return c_in * x_t, sigma.log() / 4

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Dirac:
        _, skip, gain = self._coefficients(process, t)
        c_skip, c_out = cast(x_t, skip, gain)
        return Dirac(c_skip * x_t + c_out * out)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        _, skip, gain = self._coefficients(process, t)
        a, b = cast(x_t, 1 / gain, skip / gain)
        return a * x_0 - b * x_t

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        return self._coefficients(process, t)[2].abs()


@final
class TrigFlow(Parametrization):
    r"""f = cos(tau) y - sin(tau) d F(y/d; tau), y = x_t / sqrt(alpha^2 + sigma^2/d^2), tan(tau) = sigma/(alpha d).

    With d = sigma_data, y lies on the circle y = cos(tau) x_0 + sin(tau) d eps whatever the process; d F is its
    velocity dy/dtau, so that F is also a diffusion model's v. Inputs and targets have unit variance, f(x, 0) = x. Lu
    & Song 2024, 2410.11081, section 3.
    """

    def __init__(self, sigma_data: float = 0.5):
        if not sigma_data > 0:
            raise UsageError(f"sigma_data must be positive, got {sigma_data}")
        self.sigma_data = sigma_data

    def angle(self, process: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
        """tau in [0, pi/2], and the radius sqrt(alpha^2 + sigma^2/d^2) by which x_t is divided."""
        alpha, noise = process.alpha(t), process.sigma(t) / self.sigma_data
        return torch.atan2(noise, alpha), (alpha**2 + noise**2).sqrt()

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        tau, radius = self.angle(process, t)
        (c_in,) = cast(x_t, 1 / (radius * self.sigma_data))
        return c_in * x_t, tau

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Dirac:
        tau, radius = self.angle(process, t)
        a, b = cast(x_t, tau.cos() / radius, tau.sin() * self.sigma_data)
        return Dirac(a * x_t - b * out)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        # v = cos eps - sin x_0 / d, as (cos y - x_0)/(sin d)
        tau, radius = self.angle(process, t)
        a, b = cast(x_t, tau.cos() / (radius * tau.sin() * self.sigma_data), 1 / (tau.sin() * self.sigma_data))
        return a * x_t - b * x_0

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        return self.angle(process, t)[0].sin() * self.sigma_data
