"""p(x_0 | x_t) at the last noise level: the reconstruction term of the bounds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from ornstein.core.distributions import Categorical, Gaussian, Posterior
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.shapes import cast, sum_rest
from ornstein.processes.base import Affine, Process


class Decoder(ABC):
    """How likely x_0 is, given what the denoiser says at time t."""

    @abstractmethod
    def log_prob(self, x_0: Tensor, process: Process, t: Tensor, posterior: Posterior) -> Tensor:
        """``[B]`` in nats."""


def _law(process: Process, t: Tensor, posterior: Posterior) -> tuple[Tensor, Tensor]:
    """The posterior's mean, and its variance where it has one, else (sigma_t/alpha_t)^2: both float64."""
    if not isinstance(process, Affine):
        raise CapabilityError(f"a Gaussian decoder needs an Affine process; {type(process).__name__} is not")
    mean = posterior.mean.double()
    noise = ((process.sigma(t) / process.alpha(t)) ** 2).expand(mean.shape)
    if not isinstance(posterior, Gaussian):
        return mean, noise
    var = posterior.var.double().expand(mean.shape)
    return mean, torch.where(var > 0, var, noise)


@final
class Density(Decoder):
    """N(E[x_0], Var): for continuous data."""

    def log_prob(self, x_0: Tensor, process: Process, t: Tensor, posterior: Posterior) -> Tensor:
        return Gaussian(*_law(process, t, posterior)).log_prob(x_0)


@final
class Bins(Decoder):
    r"""The mass that N(E[x_0], Var) gives to the bin around x_0; the outer bins reach to infinity. Ho et al. 2020, eq. 13.

    Bins are ``width`` wide and centred on values from ``low`` to ``high``, in the units of the state.
    """

    def __init__(self, width: float, low: float, high: float):
        if not (width > 0 and low < high):
            raise UsageError(f"bins need width > 0 and low < high, got {width}, {low} and {high}")
        self.width, self.low, self.high = width, low, high

    def log_prob(self, x_0: Tensor, process: Process, t: Tensor, posterior: Posterior) -> Tensor:
        mean, var = _law(process, t, posterior)
        std, x = var.sqrt(), x_0.double()
        below, above = (x - self.width / 2 - mean) / std, (x + self.width / 2 - mean) / std
        below = torch.where(x < self.low + self.width / 2, -torch.inf, below)
        above = torch.where(x > self.high - self.width / 2, torch.inf, above)
        return sum_rest(log_mass(below, above))


def log_mass(low: Tensor, high: Tensor) -> Tensor:
    """log(Phi(high) - Phi(low)), without cancellation: on the right of 0 the mirrored interval has the same mass."""
    flip = low > 0
    low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
    top = torch.special.log_ndtr(high)
    return top + torch.log(-torch.expm1((torch.special.log_ndtr(low) - top).clamp(max=-1e-300)))


@final
class States(Decoder):
    """The posterior's own probability of x_0: for categorical data."""

    def log_prob(self, x_0: Tensor, process: Process, t: Tensor, posterior: Posterior) -> Tensor:
        if not isinstance(posterior, Categorical):
            raise CapabilityError(f"discrete data need a Categorical posterior, got {type(posterior).__name__}")
        (logits,) = cast(torch.zeros((), dtype=torch.float64), posterior.logits)
        return Categorical(logits).log_prob(x_0)
