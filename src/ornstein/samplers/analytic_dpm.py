"""Analytic-DPM: DDIM's family of kernels, with the variance that the posterior over x_0 adds to each."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State


def pixel_deviation(pixels: float, data_range: tuple[float, float] | None, levels: int = 256) -> float:
    r"""The deviation of noise that moves a value by ``pixels`` of its ``levels`` on average: E|std z| = std sqrt(2/pi).

    The authors bound the noise of the last step by it, with 1 or 2 pixels; data in [-1, 1] give pixels (2/255) sqrt(pi/2).
    """
    if data_range is None:
        raise UsageError("a bound in pixels needs the range of the data, e.g. data_range=(-1, 1)")
    low, high = data_range
    if not low < high or levels < 2 or not pixels > 0:
        raise UsageError(
            f"a bound in pixels needs pixels > 0, low < high and at least 2 levels; got {pixels}, {data_range}, {levels}"
        )
    return pixels * (high - low) / (levels - 1) * math.sqrt(math.pi / 2)


@final
class AnalyticDPM(DenoisingSampler):
    r"""x_s ~ N(sqrt(sigma_s^2 - v^2) eps + alpha_s E[x_0], v^2 + c^2 Var[x_0]), v^2 = eta^2 sigma_s^2 (1 - SNR_t/SNR_s).

    c = alpha_s - alpha_t sqrt(sigma_s^2 - v^2)/sigma_t. The KL-optimal covariance of every kernel of the family, whatever the
    stride; the posterior's variance may be one number for each level (:class:`ornstein.denoisers.AnalyticVariance`) or one for
    each coordinate (:class:`ornstein.denoisers.LearnedMoment`). eta = 1 is DDPM's kernel, eta = 0 DDIM's; a posterior
    without a variance leaves those. For Gaussian data the law at the end is exact at any stride and eta.

    ``last_std`` bounds the deviation of the noise of the step that ends at or below the process's ``t_min``, the last at which
    noise is added (:func:`pixel_deviation`): unbounded, it is seen in images. The step to t = 0 returns the mean. Bao et al.
    2022, 2201.06503, eqs. 7 and 8 and appendix F.2 (Gamma_t in place of Var[x_0]); Bao et al. 2022, 2206.07309, theorem 1.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, eta: float = 1.0, last_std: float | None = None):
        super().__init__(denoiser)
        if not 0 <= eta <= 1:
            raise UsageError(f"eta must lie in [0, 1]: beyond 1 the noise exceeds sigma_s; got {eta}")
        if last_std is not None and not last_std > 0:
            raise UsageError(f"last_std bounds a standard deviation and must be positive, got {last_std}")
        self.eta, self.last_std = eta, last_std

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        posterior = self.denoiser(x_t, t, cond)
        alpha_s, sigma_s = p.alpha(s), p.sigma(s)
        fresh = -torch.expm1(p.log_snr(t) - p.log_snr(s))
        own = self.eta**2 * sigma_s**2 * fresh
        ratio = sigma_s * (1 - self.eta**2 * fresh).clamp_min(0).sqrt() / p.sigma(t)
        c = alpha_s - ratio * p.alpha(t)
        a, b, v2, c2 = cast(x_t, ratio, c, own, c**2)
        var = v2 + c2 * posterior.var
        if self.last_std is not None:
            # Rounding may leave the grid's last time a hair above t_min.
            var = torch.where(s <= p.t_min * (1 + 1e-9), var.clamp(max=self.last_std**2), var)
        var = torch.where(s > 0, var, torch.zeros_like(var))
        return a * x_t + b * posterior.mean + var.sqrt() * rng.between(x_t, t, s), None
