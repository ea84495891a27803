"""Clipping of the estimate of x_0 to the range of the data."""

from __future__ import annotations

from typing import final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Gaussian, Posterior
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Denoiser


@final
class Clip(Denoiser):
    r"""E[x_0] clipped to [-limit, limit]; a Gaussian posterior keeps its variance.

    Every sampler derives eps from the posterior's mean, so that the direction of a step agrees with the clipped x_0.
    Ho et al. 2020 (their code); needed where 1/alpha_t magnifies the errors of a prediction of eps.
    """

    def __init__(self, denoiser: Denoiser, limit: float = 1.0):
        super().__init__()
        if not limit > 0:
            raise UsageError(f"limit must be positive, got {limit}")
        self.denoiser, self.process, self.limit = denoiser, denoiser.process, limit

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        posterior = self.denoiser(x_t, t, cond)
        mean = posterior.mean.clamp(-self.limit, self.limit)
        return Gaussian(mean, posterior.var) if isinstance(posterior, Gaussian) else Dirac(mean)
