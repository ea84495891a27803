"""Denoisers that bound another's estimate of x_0."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior, around
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Denoiser


@final
class Clip(Denoiser):
    """E[x_0] clipped to [-bound, bound]: static thresholding. Ho et al. 2020 clip to the range of the pixels.

    Samplers work on the posterior, and so the noise that they infer is consistent with the clipped estimate.
    """

    def __init__(self, denoiser: Denoiser, bound: float = 1.0):
        super().__init__()
        if not bound > 0:
            raise UsageError(f"a clip needs bound > 0, got {bound}")
        self.denoiser, self.process, self.bound = denoiser, denoiser.process, bound

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        posterior = self.denoiser(x_t, t, cond)
        return around(posterior, posterior.mean.clamp(-self.bound, self.bound))


@final
class DynamicThreshold(Denoiser):
    r"""E[x_0] clipped to [-s, s] and divided by s / bound, s = max(bound, quantile of |E[x_0]| per sample) <= limit.

    Keeps strong guidance from saturating. Saharia et al. 2022, 2205.11487, section 2.3 (quantile 0.995).
    """

    def __init__(self, denoiser: Denoiser, quantile: float = 0.995, bound: float = 1.0, limit: float = math.inf):
        super().__init__()
        if not 0 < quantile <= 1:
            raise UsageError(f"a quantile lies in (0, 1], got {quantile}")
        if not bound > 0:
            raise UsageError(f"a threshold needs bound > 0, got {bound}")
        if not limit >= bound:
            raise UsageError(f"a threshold's limit must be at least its bound {bound}, got {limit}")
        self.denoiser, self.process = denoiser, denoiser.process
        self.quantile, self.bound, self.limit = quantile, bound, limit

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        posterior = self.denoiser(x_t, t, cond)
        mean = posterior.mean
        s = torch.quantile(mean.abs().flatten(1), self.quantile, dim=1).clamp(self.bound, self.limit)
        s = s.reshape(-1, *[1] * (mean.ndim - 1))
        return around(posterior, mean.clamp(-s, s) * (self.bound / s))
