r"""What a network's output means: eps, x_0, v, velocity, score, EDM's F, with or without a learned variance.

A parametrisation turns the output into a posterior, says what the output should have been, and how strongly the
estimate of x_0 moves with the output (so that a weight on the error of x_0 can be applied to the output's error).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from ornstein.core.distributions import Dirac, Posterior, Ranged
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.shapes import cast
from ornstein.processes.base import Affine, GaussianProcess, Process
from ornstein.processes.remember import recall


class Parametrization(ABC):
    """Joins a network to a process. ``process`` is an argument, so that one object serves any schedule."""

    needs: type[Process] = Affine
    outputs: int = 1
    """Numbers that the network gives for each value of x; what is regressed comes first."""

    def check(self, process: Process) -> None:
        """Raise unless the process has the rung that this needs."""
        if not isinstance(process, self.needs):
            raise CapabilityError(
                f"{type(self).__name__} needs a process that is {self.needs.__name__}; {type(process).__name__} is not"
            )

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """``c_in x_t`` and ``c_noise(t)``: what the network sees. By default x_t itself and 1000 t."""
        return x_t, 1000 * t

    @abstractmethod
    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Posterior:
        """The law of x_0 that the output stands for."""

    @abstractmethod
    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """What the output should have been."""

    @abstractmethod
    def gain(self, process: Affine, t: Tensor) -> Tensor:
        r"""|d x_0 / d out|: an error of the output times this is the error of x_0."""


@final
class Eps(Parametrization):
    r"""out = eps; x_0 = (x_t - sigma out) / alpha. Ho et al. 2020."""

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Dirac:
        def factors() -> tuple[Tensor, ...]:
            alpha, sigma = process.alpha(t), process.sigma(t)
            return cast(x_t, 1 / alpha, sigma / alpha)

        a, b = recall(process, ("eps", x_t.dtype), (t,), factors)
        return Dirac(a * x_t - b * out)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return process.eps(x_t, t, x_0)

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        return process.sigma(t) / process.alpha(t)


@final
class X0(Parametrization):
    r"""out = x_0."""

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Dirac:
        return Dirac(out)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return x_0

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        return torch.ones_like(t)


@final
class V(Parametrization):
    r"""out = v = (alpha eps - sigma x_0) / n, n^2 = alpha^2 + sigma^2; x_0 = (alpha x_t / n - sigma v) / n.

    On a variance-preserving process n = 1 and this is v of Salimans & Ho 2022, section 4; dividing by n carries it to
    every affine process.
    """

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Dirac:
        def factors() -> tuple[Tensor, ...]:
            alpha, sigma = process.alpha(t), process.sigma(t)
            n2 = alpha**2 + sigma**2
            return cast(x_t, alpha / n2, sigma / n2.sqrt())

        a, b = recall(process, ("v to x_0", x_t.dtype), (t,), factors)
        return Dirac(a * x_t - b * out)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = process.alpha(t), process.sigma(t)
        n = (alpha**2 + sigma**2).sqrt()
        a, b = cast(x_t, alpha / n, sigma / n)
        return a * process.eps(x_t, t, x_0) - b * x_0

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        alpha, sigma = process.alpha(t), process.sigma(t)
        return sigma / (alpha**2 + sigma**2).sqrt()


@final
class Velocity(Parametrization):
    r"""out = d x_t / dt = alpha' x_0 + sigma' eps; on flow matching eps - x_0.

    x_0 = (sigma' x_t - sigma out) / (alpha sigma' - sigma alpha'); the denominator is 1 on flow matching and never 0,
    because the signal-to-noise ratio falls strictly.
    """

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Dirac:
        def factors() -> tuple[Tensor, ...]:
            sigma, d_sigma = process.sigma(t), process.d_sigma(t)
            w = process.alpha(t) * d_sigma - sigma * process.d_alpha(t)
            return cast(x_t, d_sigma / w, sigma / w)

        a, b = recall(process, ("velocity to x_0", x_t.dtype), (t,), factors)
        return Dirac(a * x_t - b * out)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        a, b = cast(x_t, process.d_alpha(t), process.d_sigma(t))
        return a * x_0 + b * process.eps(x_t, t, x_0)

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        sigma = process.sigma(t)
        return sigma / (process.alpha(t) * process.d_sigma(t) - sigma * process.d_alpha(t))


@final
class ScoreOut(Parametrization):
    r"""out = sigma_t times the score, = -eps: the noise-scaled output of NCSN and the score SDEs (Song et al. 2021).

    The score itself is out / sigma_t; x_0 = (x_t + sigma out) / alpha (Tweedie).
    """

    needs = GaussianProcess

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Dirac:
        alpha, sigma = process.alpha(t), process.sigma(t)
        a, b = cast(x_t, 1 / alpha, sigma / alpha)
        return Dirac(a * x_t + b * out)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return -process.eps(x_t, t, x_0)

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        return process.sigma(t) / process.alpha(t)


@final
class EDMScaling(Parametrization):
    r"""x_0 = c_skip x + c_out F(c_in x; c_noise), on x = x_t / alpha_t with noise sigma = sigma_t / alpha_t.

    c_skip = d^2/(sigma^2 + d^2), c_out = sigma d/sqrt(sigma^2 + d^2), c_in = 1/sqrt(sigma^2 + d^2),
    c_noise = ln(sigma)/4, d = sigma_data. Input and target have unit variance at every level. Karras et al. 2022, table 1;
    in terms of x_t / alpha_t it holds for every affine process.
    """

    def __init__(self, sigma_data: float = 0.5):
        if not sigma_data > 0:
            raise UsageError(f"sigma_data must be positive, got {sigma_data}")
        self.sigma_data = sigma_data

    def _levels(self, process: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha = process.alpha(t)
        return alpha, process.sigma(t) / alpha

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = self._levels(process, t)
        (c_in,) = cast(x_t, 1 / (alpha * (sigma**2 + self.sigma_data**2).sqrt()))
        return c_in * x_t, sigma.log() / 4

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Dirac:
        alpha, sigma = self._levels(process, t)
        total = sigma**2 + self.sigma_data**2
        c_skip, c_out = cast(x_t, self.sigma_data**2 / total / alpha, sigma * self.sigma_data / total.sqrt())
        return Dirac(c_skip * x_t + c_out * out)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = self._levels(process, t)
        total = sigma**2 + self.sigma_data**2
        c_out = sigma * self.sigma_data / total.sqrt()
        a, b = cast(x_t, 1 / c_out, self.sigma_data**2 / total / alpha / c_out)
        return a * x_0 - b * x_t

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        _, sigma = self._levels(process, t)
        return sigma * self.sigma_data / (sigma**2 + self.sigma_data**2).sqrt()


class Derived(Parametrization):
    """Leaves everything to another parametrisation; what is made of it changes what the network is told, or its output."""

    def __init__(self, base: Parametrization):
        self.base, self.needs = base, base.needs

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.base.inputs(process, x_t, t)

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Posterior:
        return self.base.posterior(process, out, x_t, t)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return self.base.target(process, x_0, x_t, t)

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        return self.base.gain(process, t)


@final
class Clocked(Derived):
    r"""Another parametrisation whose network is told the noise level in place of t: 1000 (high - log SNR)/(high - low).

    For schedules that change while the network is trained: the same level then looks the same. Kingma et al. 2021.
    """

    def __init__(self, base: Parametrization, low: float, high: float):
        if not low < high:
            raise UsageError(f"a clock of noise levels needs low < high in log-SNR, got {low} and {high}")
        super().__init__(base)
        self.low, self.high = low, high

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        x, _ = self.base.inputs(process, x_t, t)
        return x, 1000 * (self.high - process.log_snr(t)) / (self.high - self.low)


@final
class LearnedRange(Parametrization):
    r"""Twice the channels: the first half is another parametrisation's output, the second interpolates the variance.

    With f = (out_2 + 1)/2, the reverse kernel over one step of the training chain has
    log var = f log beta_t + (1 - f) log beta~_t (Nichol & Dhariwal 2021, eq. 15). A reverse variance beyond the
    fixed beta~ is what a posterior variance of x_0 adds: var = beta~ + c^2 Var[x_0], and so the posterior returned is
    Gaussian with that Var[x_0], clipped at 0, and the fraction f beside it for chains that stride. ``steps`` is the length T
    of the training chain.
    """

    needs = GaussianProcess
    outputs = 2

    def __init__(self, base: Parametrization, steps: int):
        if steps < 2:
            raise UsageError(f"a learned range of variances needs a chain of at least 2 steps, got {steps}")
        self.base, self.steps = base, steps

    @staticmethod
    def split(out: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean's half and the variance's half, each of x's shape, along the first dimension after the batch."""
        if out.shape[1] != 2 * x.shape[1]:
            raise UsageError(
                f"a learned variance needs a network of {2 * x.shape[1]} output channels for data of {x.shape[1]}, got "
                f"{out.shape[1]}"
            )
        mean, var = out.chunk(2, dim=1)
        return mean, var

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.base.inputs(process, x_t, t)

    def log_var(self, process: GaussianProcess, raw: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """log of the reverse variance from t to s that the second half of the output stands for."""
        ratio = torch.expm1(process.log_snr(t) - process.log_snr(s)).neg()
        log_large = (process.sigma(t) ** 2 * ratio).log()  # sigma_{t|s}^2, beta_t at one step
        small = process.sigma(s) ** 2 * ratio
        # At the last step beta~ is 0; the first non-zero one stands in for it, as in the paper.
        first, second = (torch.tensor(n / self.steps, dtype=torch.float64, device=t.device) for n in (1, 2))
        floor = process.sigma(first) ** 2 * -torch.expm1(process.log_snr(second) - process.log_snr(first))
        log_small = torch.where(small > 0, small, floor).log()
        large, low = cast(raw, log_large, log_small)
        f = (raw + 1) / 2
        return f * large + (1 - f) * low

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Ranged:
        assert isinstance(process, GaussianProcess)
        mean_out, raw = self.split(out, x_t)
        mean = self.base.posterior(process, mean_out, x_t, t).mean
        s = (t - 1 / self.steps).clamp_min(0)
        ratio = -torch.expm1(process.log_snr(t) - process.log_snr(s))
        small, c2 = cast(x_t, process.sigma(s) ** 2 * ratio, (process.alpha(s) * ratio) ** 2)
        var = ((self.log_var(process, raw, t, s).exp() - small) / c2).clamp_min(0)
        return Ranged(mean, var, (raw + 1) / 2)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return self.base.target(process, x_0, x_t, t)

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        return self.base.gain(process, t)
