"""Denoising diffusion restoration: each singular direction of the operator is noised together with what is known of it."""

from __future__ import annotations

from typing import ClassVar, final

import torch
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
class DDRM(DenoisingSampler):
    r"""In c = V'x / alpha, level = sigma/alpha, e = noise / s_i of each singular value s_i, and the estimate b = V'E[x_0]:

    ====================  ==================================================================================
    s_i = 0               b + sqrt(1 - eta^2) level_s (c_t - b) / level_t + eta level_s z
    level_s < e           b + sqrt(1 - eta^2) level_s (U'y / s_i - b) / e + eta level_s z
    level_s >= e          (1 - eta_b) b + eta_b U'y / s_i + sqrt(level_s^2 - eta_b^2 e^2) z
    ====================  ==================================================================================

    It starts measured directions around U'y / s_i. No derivative of the network; the SVD of the operator. Kawar et al. 2022,
    2201.11793, eqs. 7 and 8. Values below 1e-3 of the largest count as 0.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True
    single_level: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, measurement: Measurement, eta: float = 0.85, eta_b: float = 1.0):
        super().__init__(denoiser)
        if not (0 <= eta <= 1 and 0 <= eta_b <= 1):
            raise UsageError(f"ddrm needs eta and eta_b in [0, 1], got {eta} and {eta_b}")
        self.svd, self.measurement = measurement.spectrum("ddrm"), measurement
        self.eta, self.eta_b = eta, eta_b

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p, svd, m = self.process, self.svd, self.measurement
        values, kept = svd.kept(x_t)
        safe = values.where(kept, torch.ones_like(values))
        known, error = svd.data(m.y.to(x_t)) / safe, m.noise / safe
        alpha_t, level_t, alpha_s, level_s = cast(
            x_t, p.alpha(t), p.sigma(t) / p.alpha(t), p.alpha(s), p.sigma(s) / p.alpha(s)
        )
        if state is None:  # the first state is noise: put it around what is measured
            z = svd.turn(x_t) / (alpha_t * level_t)
            left = (level_t**2 - error**2).clamp_min(0).sqrt()
            c_t = torch.where(kept & (level_t > error), known + left * z, level_t * z)
            x_t = alpha_t * svd.unturn(c_t)
        c_t = svd.turn(x_t) / alpha_t
        b = svd.turn(self.denoiser(x_t, t, cond).mean)
        z = svd.turn(rng.normal_like(x_t))
        still = (1 - self.eta**2) ** 0.5
        free = b + still * level_s * (c_t - b) / level_t + self.eta * level_s * z
        # Where there is no noise, error is 0 and this branch is not taken.
        low = b + still * level_s * (known - b) / error.clamp_min(1e-12) + self.eta * level_s * z
        left = (level_s**2 - (self.eta_b * error) ** 2).clamp_min(0).sqrt()
        high = (1 - self.eta_b) * b + self.eta_b * known + left * z
        c_s = torch.where(kept, torch.where(level_s < error, low, high), free)
        return alpha_s * svd.unturn(c_s), True
