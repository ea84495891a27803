"""Guidance to where data are rare, and back to where there are data at all."""

from __future__ import annotations

from typing import final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.branches import moved
from ornstein.guidance.classifier import LogProb
from ornstein.guidance.tilt import gradient_of, require_gaussian, tilted, unit
from ornstein.processes.base import GaussianProcess


@final
class LowDensity(Denoiser):
    r"""score - away g/|g| + real h/|h|, g = \nabla log p(y | x_t) of the class, h = \nabla log p(real | x_t) of a discriminator.

    The first leaves the dense core of class y; the second keeps to the data. Gradients have length 1, since their own
    varies by orders of magnitude over t; in an ancestral step the mean moves by its variance times them. The discriminator
    learns noisy data against noisy samples of the same sampler. Sehwag et al. 2022, 2203.17260, eq. 5-6.
    """

    process: GaussianProcess

    def __init__(
        self, denoiser: Denoiser, log_prob: LogProb, away: float, log_real: LogProb | None = None, real: float = 0.0
    ):
        super().__init__()
        if away < 0 or real < 0:
            raise UsageError(f"low-density guidance needs strengths >= 0, got away {away} and real {real}")
        if real and log_real is None:
            raise UsageError("real > 0 needs log_real, a discriminator of noisy data and noisy samples")
        self.denoiser, self.process = denoiser, require_gaussian("low-density guidance", denoiser)
        self.log_prob, self.away, self.log_real, self.real = log_prob, away, log_real, real

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        posterior = self.denoiser(x_t, t, cond)
        mean = posterior.mean
        if self.away:
            gradient = gradient_of(lambda x: self.log_prob(x, t, cond), x_t, "the class's likeness")
            mean = tilted(self.process, mean, t, -self.away * unit(gradient))
        if self.real and (log_real := self.log_real) is not None:
            gradient = gradient_of(lambda x: log_real(x, t, cond), x_t, "the discriminator")
            mean = tilted(self.process, mean, t, self.real * unit(gradient))
        return moved(posterior, mean) if self.away or self.real else posterior
