r"""The forward process q: two methods for every state space, and four rungs of capability.

============  ================================  ==================================================================
rung          adds                              gives
============  ================================  ==================================================================
Process       prior, marginal                   training
Reversible    reverse                           ancestral sampling, the variational bound
Affine        alpha, sigma, log_snr, time       all ODE samplers in sigma/alpha or log-SNR
SDE           drift, diffuse, score, move       Euler-Maruyama, probability flow, correctors, likelihood by trace
Rate          rate, ratio, reverse_rate         tau-leaping, Euler steps and Gillespie of a Markov chain
============  ================================  ==================================================================

Time runs from t = 0 (data) to t = 1 (prior), in float64. It arrives expanded to the rank of x
(:func:`ornstein.core.shapes.expand`); what a process returns broadcasts against x.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic

import torch
from torch import Tensor, nn

from ornstein.core.distributions import Dirac, Distribution, Gaussian, Posterior, Score
from ornstein.core.shapes import cast
from ornstein.core.state import X
from ornstein.processes.remember import recall, remembered


class Process(nn.Module, ABC, Generic[X]):
    """The forward process q; t = 0 is data, t = 1 is (close to) the prior."""

    t_min: float = 1e-3
    """The last time at which a network is asked before t = 0; a sampler's grid ends there, then at 0."""
    t_max: float = 1.0
    """Where sampling starts. Below 1 where the signal vanishes at 1 and a prediction of eps could not be inverted."""

    @abstractmethod
    def prior(self, shape: Sequence[int]) -> Distribution[X]:
        """What sampling starts from; ``shape`` includes the batch."""

    @abstractmethod
    def marginal(self, x_0: X, t: Tensor) -> Distribution[X]:
        """q(x_t | x_0); at least sampleable."""


class Reversible(Process[X]):
    """q(x_s | x_t, x_0) is known, so a posterior over x_0 gives a reverse kernel."""

    @abstractmethod
    def reverse(self, x_t: X, t: Tensor, s: Tensor, posterior: Posterior[X]) -> Distribution[X]:
        """E over x_0 ~ posterior of q(x_s | x_t, x_0), for s < t."""


class Affine(Process):
    r"""x_t = alpha_t x_0 + sigma_t eps, for any law of eps."""

    def __init_subclass__(cls) -> None:
        """What subclasses say of their amplitudes is kept while something samples from them."""
        super().__init_subclass__()
        for name in ("alpha", "sigma", "log_snr"):
            own = cls.__dict__.get(name)
            if own is not None and not getattr(own, "__isabstractmethod__", False):
                setattr(cls, name, remembered(own))

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """The signal's amplitude; a scalar per time, or one number per coordinate."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """The noise's amplitude."""

    @abstractmethod
    def d_alpha(self, t: Tensor) -> Tensor:
        """d alpha / dt."""

    @abstractmethod
    def d_sigma(self, t: Tensor) -> Tensor:
        """d sigma / dt."""

    @abstractmethod
    def time(self, log_snr: Tensor) -> Tensor:
        """The inverse of :meth:`log_snr`."""

    @remembered
    def log_snr(self, t: Tensor) -> Tensor:
        r"""log(alpha_t^2 / sigma_t^2), decreasing in t; +inf at t = 0."""
        return 2 * (self.alpha(t).log() - self.sigma(t).log())

    def eps(self, x_t: Tensor, t: Tensor, x_0: Tensor) -> Tensor:
        r"""The noise that x_0 implies: eps = (x_t - alpha_t x_0) / sigma_t."""
        alpha, sigma = recall(self, ("amplitudes", x_t.dtype), (t,), lambda: cast(x_t, self.alpha(t), self.sigma(t)))
        return (x_t - alpha * x_0) / sigma


class SDE(Process[X]):
    r"""dx = drift dt + diffuse dw, on a space in which ``move`` adds a tangent vector to a point."""

    @abstractmethod
    def drift(self, x: X, t: Tensor) -> X:
        """f(x, t)."""

    @abstractmethod
    def diffuse(self, v: X, t: Tensor) -> X:
        r"""G_t v; applied twice it is G G' v where G is symmetric, as in every process here."""

    @abstractmethod
    def score(self, x_t: X, t: Tensor, posterior: Posterior[X]) -> X:
        r"""\nabla log p_t(x_t), from a posterior over x_0."""

    def move(self, x: Tensor, dx: Tensor) -> Tensor:
        """The retraction: x + dx in flat space; wraps angles, follows geodesics, removes the centre of mass elsewhere."""
        return x + dx


class Rate(Process):
    """A continuous-time Markov chain on a finite set."""

    @abstractmethod
    def rate(self, x: Tensor, t: Tensor) -> Tensor:
        """The generator's row: rates of jumping from x to each state, and minus their sum at x, ``[B, ..., K]``."""

    @abstractmethod
    def ratio(self, x_t: Tensor, t: Tensor, posterior: Posterior) -> Tensor:
        """p_t(y) / p_t(x_t) for each state y, ``[B, ..., K]``: the discrete score."""

    @abstractmethod
    def reverse_rate(self, x_t: Tensor, t: Tensor, posterior: Posterior) -> Tensor:
        r"""The generator's row of the reverse chain: rate(y -> x_t) p_t(y)/p_t(x_t), and minus their sum at x_t."""


class GaussianProcess(Affine, SDE, Reversible):
    r"""x_t = alpha_t x_0 + sigma_t eps, eps ~ N(0, I): everything follows in closed form from the two amplitudes.

    Subclasses are final; they give ``alpha, sigma, d_alpha, d_sigma, time`` (and ``log_snr`` where it is more precise).
    """

    def prior(self, shape: Sequence[int]) -> Gaussian:
        """N(0, sigma_{t_max}^2 I)."""
        std = self.sigma(torch.tensor(self.t_max, dtype=torch.float64))
        zeros = torch.zeros(tuple(shape))
        return Gaussian(zeros, (std**2).to(zeros))

    def marginal(self, x_0: Tensor, t: Tensor) -> Gaussian:
        alpha, sigma = cast(x_0, self.alpha(t), self.sigma(t))
        return Gaussian(alpha * x_0, sigma**2)

    def reverse(self, x_t: Tensor, t: Tensor, s: Tensor, posterior: Posterior) -> Gaussian:
        r"""N(sigma_s^2/sigma_t^2 alpha_{t|s} x_t + c E[x_0], sigma_{t|s}^2 sigma_s^2 / sigma_t^2 + c^2 Var[x_0]).

        With alpha_{t|s} = alpha_t / alpha_s, sigma_{t|s}^2 = sigma_t^2 - alpha_{t|s}^2 sigma_s^2 and
        c = alpha_s sigma_{t|s}^2 / sigma_t^2. The last term, the law of total variance, is what a learned or analytic
        posterior variance adds; for Gaussian data it makes the kernel exact at any stride. Source: Kingma et al. 2021,
        appendix A; Bao et al. 2022, eq. 7.
        """

        def factors() -> tuple[Tensor, ...]:
            alpha_s, sigma_s, sigma_t = self.alpha(s), self.sigma(s), self.sigma(t)
            keep = (self.log_snr(t) - self.log_snr(s)).exp()  # (alpha_t sigma_s / (alpha_s sigma_t))^2, 0 at s = 0
            fresh = -torch.expm1(self.log_snr(t) - self.log_snr(s))  # sigma_{t|s}^2 / sigma_t^2, without cancellation
            c = alpha_s * fresh
            return cast(x_t, keep.sqrt() * sigma_s / sigma_t, c, sigma_s**2 * fresh, c**2)

        back, c, var, c_sq = recall(self, ("reverse", x_t.dtype), (t, s), factors)
        mean = back * x_t + c * posterior.mean
        return Gaussian(mean, var if isinstance(posterior, Dirac) else var + c_sq * posterior.var)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        r"""(alpha'/alpha) x."""
        (a,) = cast(x, self.d_alpha(t) / self.alpha(t))
        return a * x

    def diffusion_sq(self, t: Tensor) -> Tensor:
        r"""g_t^2 = 2 sigma (sigma' - sigma alpha'/alpha)."""
        sigma = self.sigma(t)
        return 2 * sigma * (self.d_sigma(t) - sigma * self.d_alpha(t) / self.alpha(t))

    def diffuse(self, v: Tensor, t: Tensor) -> Tensor:
        (g,) = cast(v, self.diffusion_sq(t).sqrt())
        return g * v

    def score(self, x_t: Tensor, t: Tensor, posterior: Posterior) -> Tensor:
        r"""(alpha_t E[x_0] - x_t) / sigma_t^2 (Tweedie)."""
        if isinstance(posterior, Score):
            return posterior.score
        alpha, var = cast(x_t, self.alpha(t), self.sigma(t) ** 2)
        return (alpha * posterior.mean - x_t) / var
