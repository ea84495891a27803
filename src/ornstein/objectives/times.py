"""At which times an objective asks the network: a law over t."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.processes.base import Affine


class Times(ABC):
    """Draws one time per sample."""

    @abstractmethod
    def __call__(self, rng: Random, n: int) -> Tensor:
        """``[n]`` float64 in (0, 1]."""


def _normal_cdf_inverse(u: Tensor) -> Tensor:
    return math.sqrt(2) * torch.erfinv(2 * u - 1)


@final
class UniformTimes(Times):
    """t ~ U[t_min, t_max], stratified over the batch: it covers all levels, so the loss is less noisy. Kingma et al. 2021."""

    def __init__(self, t_min: float = 1e-3, t_max: float = 1.0):
        if not 0 <= t_min < t_max <= 1:
            raise UsageError(f"times need 0 <= t_min < t_max <= 1, got {t_min} and {t_max}")
        self.t_min, self.t_max = t_min, t_max

    def __call__(self, rng: Random, n: int) -> Tensor:
        return self.t_min + (self.t_max - self.t_min) * rng.stratified(n)


@final
class DiscreteTimes(Times):
    """t = n/T, n ~ U{1 .. T}: the chain of a discrete-time paper."""

    def __init__(self, steps: int):
        if steps < 1:
            raise UsageError(f"a chain needs at least one step, got {steps}")
        self.steps = steps

    def __call__(self, rng: Random, n: int) -> Tensor:
        return (rng.integers(self.steps, (n,)).double() + 1) / self.steps


@final
class ListedTimes(Times):
    """One of a list of times, all equally likely: the noise levels of NCSN. Song & Ermon 2019."""

    def __init__(self, times: Tensor):
        # On the CPU also where a network is built without memory, on the meta device.
        times = torch.as_tensor(times, dtype=torch.float64, device="cpu")
        if times.ndim != 1 or len(times) < 1 or not bool(((times > 0) & (times <= 1)).all()):
            raise UsageError("listed times must be one or more numbers in (0, 1]")
        if bool((times.diff() >= 0).any()):
            raise UsageError("listed times must fall, from the noisiest to the least noisy")
        self.times = times

    def __call__(self, rng: Random, n: int) -> Tensor:
        return self.times[rng.integers(len(self.times), (n,))]


@final
class UniformLogSNR(Times):
    r"""log SNR_t ~ U[log SNR(t_max), log SNR(t_min)], stratified: p(t) = g_t^2/sigma_t^2 over its integral.

    The times by which a loss with the likelihood's weight becomes a plain one. Song et al. 2021, 2101.09258, section 4.1.
    """

    def __init__(self, process: Affine, t_min: float = 1e-5):
        if not 0 < t_min < process.t_max:
            raise UsageError(
                f"t_min must lie in (0, {process.t_max:g}): the range of log-SNR is infinite at 0; got {t_min}"
            )
        self.process = process
        ends = process.log_snr(torch.tensor([process.t_max, t_min], dtype=torch.float64))
        if not bool(torch.isfinite(ends).all()):
            raise UsageError(
                f"the log-SNR of {type(process).__name__} runs from {float(ends[0]):g} to {float(ends[1]):g} and cannot be drawn "
                "uniformly; choose a process with signal left at its end"
            )
        self.low, self.high, self.t_min = float(ends[0]), float(ends[1]), t_min

    @property
    def range(self) -> float:
        """log SNR(t_min) - log SNR(t_max): the integral of g^2/sigma^2."""
        return self.high - self.low

    def __call__(self, rng: Random, n: int) -> Tensor:
        log_snr = self.low + self.range * rng.stratified(n)
        return self.process.time(log_snr).clamp(self.t_min, self.process.t_max)


@final
class LogNormalSigma(Times):
    r"""ln(sigma_t/alpha_t) ~ N(mean, std^2), stratified. Karras et al. 2022: mean -1.2, std 1.2."""

    def __init__(self, process: Affine, mean: float = -1.2, std: float = 1.2):
        if not std > 0:
            raise UsageError(f"std must be positive, got {std}")
        self.process, self.mean, self.std = process, mean, std

    def __call__(self, rng: Random, n: int) -> Tensor:
        u = rng.stratified(n).clamp(1e-9, 1 - 1e-9)
        log_sigma = self.mean + self.std * _normal_cdf_inverse(u)
        return self.process.time(-2 * log_sigma).clamp(1e-9, self.process.t_max)


@final
class LogitNormal(Times):
    r"""t = sigmoid(mean + std n), stratified: Esser et al. 2024 for flow matching; with mean 0, std 1 the middle counts most."""

    def __init__(self, mean: float = 0.0, std: float = 1.0):
        if not std > 0:
            raise UsageError(f"std must be positive, got {std}")
        self.mean, self.std = mean, std

    def __call__(self, rng: Random, n: int) -> Tensor:
        u = rng.stratified(n).clamp(1e-9, 1 - 1e-9)
        return torch.sigmoid(self.mean + self.std * _normal_cdf_inverse(u))


@final
class Fixed(Times):
    """One time for all: t = 1 trains a single step from noise."""

    def __init__(self, t: float = 1.0):
        if not 0 < t <= 1:
            raise UsageError(f"a time lies in (0, 1], got {t}")
        self.t = t

    def __call__(self, rng: Random, n: int) -> Tensor:
        return torch.full((n,), self.t, dtype=torch.float64)
