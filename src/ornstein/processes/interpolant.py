r"""The stochastic interpolant with a Gaussian source: straight lines with noise added between the ends."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.processes.base import GaussianProcess


@final
class Interpolant(GaussianProcess):
    r"""x_t = (1 - t) x_0 + t x_1 + gamma sqrt(t (1 - t)) z with x_1, z ~ N(0, I).

    alpha = 1 - t, sigma^2 = t^2 + gamma^2 t (1 - t). The latent noise vanishes at both ends and smooths the densities
    between. gamma = 0 is flow matching. Albergo, Boffi & Vanden-Eijnden 2023, 2303.08797 (their time runs the other
    way); with a Gaussian source x_1 and z add up to one Gaussian. Between two arbitrary densities see
    :class:`ornstein.objectives.interpolating.Interpolating`.
    """

    def __init__(self, gamma: float = 1.0, t_min: float = 1e-3):
        super().__init__()
        # sigma^2 = g t + (1 - g) t^2, g = gamma^2: the noise-to-signal ratio rises all the way for any g >= 0.
        if not 0 <= gamma < float("inf"):
            raise UsageError(f"an interpolant's latent noise gamma must be finite and >= 0, got {gamma}")
        self.gamma, self.t_min = gamma, t_min

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        g = self.gamma**2
        return (g * t + (1 - g) * t**2).sqrt()

    def d_alpha(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        g = self.gamma**2
        return (g + 2 * (1 - g) * t) / (2 * self.sigma(t))

    def diffusion_sq(self, t: Tensor) -> Tensor:
        # 2 sigma sigma' + 2 sigma^2/(1 - t), without the cancellation of the general formula
        g = self.gamma**2
        return g + 2 * (1 - g) * t + 2 * t * (g + (1 - g) * t) / (1 - t)

    def time(self, log_snr: Tensor) -> Tensor:
        # With r = (sigma/alpha)^2: (1 - g - r) t^2 + (g + 2 r) t - r = 0; the root in [0, 1], written without cancellation.
        g, r = self.gamma**2, (-log_snr).exp()
        b = g + 2 * r
        return 2 * r / (b + (b**2 + 4 * r * (1 - g - r)).clamp_min(0).sqrt())
