"""What an exact problem offers, and the denoiser that it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Posterior
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser


class Problem(ABC):
    """A law of data p(x_0) and a process under which everything is known. Times are numbers, ``[]``, ``[B]`` or x's rank."""

    process: Any
    """of the type that the problem needs"""
    shape: tuple[int, ...]
    """of one sample, without the batch"""

    @property
    def denoiser(self) -> ExactDenoiser:
        """The denoiser that a perfect network would be."""
        return ExactDenoiser(self)

    @abstractmethod
    def sample(self, rng: Random, n: int) -> Tensor:
        """Draws of x_0, ``[n, *shape]``."""

    @abstractmethod
    def posterior(self, x_t: Tensor, t: Tensor | float, cond: Cond = NO_COND) -> Posterior:
        """p(x_0 | x_t)."""

    @abstractmethod
    def marginal_log_prob(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        """log p_t(x_t), ``[B]``, in float64."""

    @abstractmethod
    def score(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        r"""\nabla log p_t(x_t), or p_t(y)/p_t(x_t) on a finite set."""

    def log_prob(self, x_0: Tensor) -> Tensor:
        """log p(x_0), ``[B]``: the marginal at t = 0."""
        return self.marginal_log_prob(x_0, 0.0)


@final
class ExactDenoiser(Denoiser):
    """A problem's posterior as a denoiser."""

    def __init__(self, problem: Problem):
        super().__init__()
        self.problem, self.process = problem, problem.process

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        return self.problem.posterior(x_t, expand(t, x_t), cond)

    def log_density(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        """log p_t(x_t), ``[B]``: what samplers that accept and reject ask for."""
        return self.problem.marginal_log_prob(x_t, t)


@final
class MeanOnly(Denoiser):
    """Another denoiser's mean without its variance: what a network trained by regression knows."""

    def __init__(self, denoiser: Denoiser):
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        return Dirac(self.denoiser(x_t, t, cond).mean)
