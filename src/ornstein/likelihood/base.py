"""The contract of a likelihood method, and how its draws become a value with an error."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, OrnsteinError, UsageError
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Denoiser
from ornstein.likelihood.result import Likelihood
from ornstein.processes.base import Process


class Estimator(ABC):
    """Estimates log p(x). Immutable, as samplers are: randomness is an argument."""

    needs: ClassVar[type[Process[Any]]] = Process
    advice: ClassVar[str] = ""
    """what would do where the process lacks the rung"""
    bound: bool = True
    """whether the draws' expectation lies below log p(x)"""

    def __init__(self, denoiser: Denoiser):
        if not isinstance(denoiser.process, self.needs):
            raise CapabilityError(
                f"{type(self).__name__} needs a process that is {self.needs.__name__}; "
                f"{type(denoiser.process).__name__} is not. {self.advice}".rstrip()
            )
        self.denoiser = denoiser

    @property
    def process(self) -> Any:
        """The denoiser's process (of the type that ``needs`` names)."""
        return self.denoiser.process

    def weighs(self, x: Tensor) -> bool:
        """Whether exp(draw) has the expectation p(x), so that averaging exp over draws gives a tighter bound."""
        return False

    def noisy(self, x: Tensor) -> bool:
        """Whether two draws differ."""
        return True

    @abstractmethod
    def draws(self, x: Tensor, rng: Random, cond: Cond = NO_COND, repeats: int = 1) -> Tensor:
        """``repeats`` estimates of log p(x) for each sample, ``[repeats, B]`` float64, in nats."""


def measure(
    estimator: Estimator,
    x: Tensor,
    rng: Random,
    cond: Cond = NO_COND,
    *,
    repeats: int = 1,
    importance: bool = False,
    method: str | None = None,
) -> Likelihood:
    r"""log p(x) from ``repeats`` draws a sample: their mean, or log (1/K) sum exp(draws) with ``importance``.

    The importance-weighted bound lies between the mean and log p(x) and rises with K (Burda et al. 2016, 1509.00519). Its
    standard error is that of the mean weight, relative to it.

    Raises:
        UsageError: ``repeats`` below 1.
        CapabilityError: importance weights of a method whose draws are no log-weights.
        OrnsteinError: a draw is NaN.
    """
    if repeats < 1:
        raise UsageError(f"repeats must be at least 1, got {repeats}")
    if importance and not estimator.weighs(x):
        raise CapabilityError(
            f"{type(estimator).__name__} draws log p(x) plus noise, not the logarithm of a weight, so it has no "
            "importance-weighted bound; use PathWeights, or dequantisation under the exact trace"
        )
    with torch.no_grad():
        values = estimator.draws(x, rng, cond, repeats).double()
    if bool((bad := values.isnan().any(0)).any()):
        rows = bad.nonzero().flatten().tolist()[:8]
        raise OrnsteinError(f"{type(estimator).__name__} found NaN for samples {rows}: check the data and the weights")
    if importance:
        nats = values.logsumexp(0) - math.log(repeats)
        spread = (values - nats).exp()
    else:
        nats, spread = values.mean(0), values
    if not estimator.noisy(x):
        noise = torch.zeros_like(nats)
    elif repeats == 1:
        noise = torch.full_like(nats, torch.nan)
    else:
        # From differences of neighbours: draws may be stratified, and what differs between strata is no error.
        noise = ((spread.diff(dim=0) ** 2).mean(0) / 2 / repeats).sqrt()
    return Likelihood(nats, noise, x[0].numel(), method or type(estimator).__name__, estimator.bound)
