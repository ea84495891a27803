"""Wrapped-normal angles under Brownian motion on the torus: the marginal stays a wrapped normal."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Score
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.processes.base import Process
from ornstein.processes.torus import Torus, WrappedNormal
from ornstein.testing.exact.problem import Problem


def wrapped_normal(process: Process, mean: Tensor | float = 0.0, std: Tensor | float = 0.5) -> WrappedNormalProblem:
    """Angles x_0 ~ N(mean, std^2) wrapped to [-pi, pi), independent; numbers make a state of shape ``[1]``."""
    if not isinstance(process, Torus):
        raise CapabilityError(f"the wrapped-normal problem needs a Torus; {type(process).__name__} is not")
    m, s = torch.broadcast_tensors(*(torch.as_tensor(a, dtype=torch.float64) for a in (mean, std)))
    if not bool((s > 0).all()):
        raise UsageError(f"a standard deviation is positive, got {float(s.min())}")
    return WrappedNormalProblem(process, m.reshape(1) if m.ndim == 0 else m, s.reshape(1) if s.ndim == 0 else s)


@final
class WrappedNormalProblem(Problem):
    r"""p_t = WN(mean, std^2 + sigma_t^2); only its score is a posterior, for on a circle there is no mean of x_0."""

    def __init__(self, process: Torus, mean: Tensor, std: Tensor):
        self.process, self.mean, self.std = process, mean, std
        self.shape = tuple(mean.shape)

    def marginal(self, t: Tensor | float, like: Tensor) -> WrappedNormal:
        """p_t, of the shape of ``like [B, *shape]``."""
        var = self.std**2 + self.process.sigma(expand(t, like)) ** 2
        return WrappedNormal(self.mean.expand(like.shape), var.expand(like.shape))

    def sample(self, rng: Random, n: int) -> Tensor:
        like = torch.empty((n, *self.shape), dtype=torch.float64)
        return self.marginal(0.0, like).sample(rng)

    def posterior(self, x_t: Tensor, t: Tensor | float, cond: Cond = NO_COND) -> Score:
        return Score(self.score(x_t, t))

    def marginal_log_prob(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        return self.marginal(t, x_t).log_prob(x_t)

    def score(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        return self.marginal(t, x_t).score(x_t)
