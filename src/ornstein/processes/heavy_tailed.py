r"""Noise with heavier tails than Gaussian: the generalised normal law, of which Laplace's is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from ornstein.core.distributions import Distribution
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, sum_rest
from ornstein.processes.base import Affine


@lru_cache(maxsize=16)
def _quantiles(shape: float) -> tuple[Tensor, Tensor]:
    """log w and log y of the gamma law with this shape, w = -log P(Y > y): nearly a straight line at both ends."""
    y = torch.logspace(-60, math.log10(700), 8192, dtype=torch.float64)
    a = torch.tensor(shape, dtype=torch.float64)
    below, above = torch.special.gammainc(a, y), torch.special.gammaincc(a, y)
    w = torch.where(below < 0.5, -torch.log1p(-below), -above.clamp_min(1e-320).log())
    kept = (w > 1e-300) & (w < 700)
    return w[kept].log(), y[kept].log()


@final
class GeneralisedNormal(Distribution):
    r"""Independent coordinates with density beta/(2 a Gamma(1/beta)) exp(-(|x - mean|/a)^beta) and standard deviation
    ``std``.

    a = std sqrt(Gamma(1/beta)/Gamma(3/beta)). beta = 2 is Gaussian, 1 Laplace's. Draws invert the distribution
    function, one uniform number a coordinate.
    """

    def __init__(self, mean: Tensor, std: Tensor, beta: float):
        self._mean, self.std, self.beta = mean, std, beta
        self.width = std * math.exp(0.5 * (math.lgamma(1 / beta) - math.lgamma(3 / beta)))

    @property
    def mean(self) -> Tensor:
        return self._mean

    @property
    def var(self) -> Tensor:
        return self.std**2

    def sample(self, rng: Random) -> Tensor:
        x = self._mean
        v = 2 * rng.uniform(x.shape, dtype=torch.float64, device=x.device) - 1
        log_w, log_y = (table.to(x.device) for table in _quantiles(1 / self.beta))
        w = (-torch.log1p(-v.abs().clamp(max=1 - 2**-53))).clamp_min(1e-299).log()
        i = torch.searchsorted(log_w, w).clamp(1, len(log_w) - 1)
        part = (w - log_w[i - 1]) / (log_w[i] - log_w[i - 1])
        size = torch.exp((log_y[i - 1] + part * (log_y[i] - log_y[i - 1])) / self.beta)
        noise = torch.sign(v) * size
        return x + self.width.to(x) * noise.to(x)

    def log_prob(self, x: Tensor) -> Tensor:
        constant = math.log(self.beta / 2) - math.lgamma(1 / self.beta)
        u = (x - self._mean).abs() / self.width
        return sum_rest((constant - torch.log(self.width) - u**self.beta).expand(x.shape))

    def score(self, x: Tensor) -> Tensor:
        r"""grad log density: -(beta/a) sign(u) |u/a|^{beta-1}, u = x - mean; finite almost everywhere for beta >= 1."""
        u = (x - self._mean) / self.width
        return -self.beta / self.width * torch.sign(u) * u.abs().clamp_min(1e-12) ** (self.beta - 1)


@final
class HeavyTailedVE(Affine):
    r"""x_t = x_0 + sigma_t u with u generalised normal of unit variance; sigma_t^2 = sigma_min^2 (r^{2t} - 1), r =
    sigma_max/sigma_min.

    Each level is noised in one shot: sums of such noises are not of their kind, so there is no SDE behind it and no
    reverse kernel. Deasy, Simidjievski & Lio 2021, 2112.09788.
    """

    def __init__(self, beta: float = 1.0, sigma_min: float = 0.01, sigma_max: float = 20.0, t_min: float = 1e-3):
        super().__init__()
        if not 0.5 < beta <= 2:
            raise UsageError(
                "beta must lie in (0.5, 2]: at 0.5 and below the target's variance is infinite, above 2 tails are light; "
                f"got {beta}"
            )
        if not 0 < sigma_min < sigma_max:
            raise UsageError(f"levels need 0 < sigma_min < sigma_max, got {sigma_min} and {sigma_max}")
        self.beta, self.sigma_min, self.sigma_max, self.t_min = beta, sigma_min, sigma_max, t_min
        self._rate = 2 * math.log(sigma_max / sigma_min)

    def prior(self, shape: Sequence[int]) -> GeneralisedNormal:
        std = self.sigma(torch.ones((), dtype=torch.float64)).float()
        return GeneralisedNormal(torch.zeros(tuple(shape)), std, self.beta)

    def marginal(self, x_0: Tensor, t: Tensor) -> GeneralisedNormal:
        (sigma,) = cast(x_0, self.sigma(t))
        return GeneralisedNormal(x_0, sigma, self.beta)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * torch.expm1(self._rate * t).sqrt()

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * self._rate * torch.exp(self._rate * t) / (2 * torch.expm1(self._rate * t).sqrt())

    def time(self, log_snr: Tensor) -> Tensor:
        return torch.log1p((-log_snr).exp() / self.sigma_min**2) / self._rate
