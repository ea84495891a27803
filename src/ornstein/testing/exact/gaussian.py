"""Gaussian data: every map is affine, so convergence can be measured without sampling noise."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, sum_rest
from ornstein.processes.base import GaussianProcess, Process
from ornstein.testing.exact.problem import Problem


def gaussian(process: Process, mean: Tensor | float = 0.0, var: Tensor | float = 1.0) -> GaussianProblem:
    """x_0 ~ N(mean, var), independent coordinates; numbers make a state of shape ``[1]``."""
    if not isinstance(process, GaussianProcess):
        raise CapabilityError(f"the Gaussian problem needs a GaussianProcess; {type(process).__name__} is not")
    m, v = (torch.as_tensor(a, dtype=torch.float64) for a in (mean, var))
    m, v = torch.broadcast_tensors(m, v)
    if m.ndim == 0:
        m, v = m.reshape(1), v.reshape(1)
    if not bool((v >= 0).all()):
        raise UsageError(f"a variance is >= 0, got {float(v.min())}")
    return GaussianProblem(process, m, v)


@final
class GaussianProblem(Problem):
    r"""p_t = N(alpha m, alpha^2 v + sigma^2); E[x_0 | x_t] = m + alpha v (x_t - alpha m)/v_t, Var = v sigma^2/v_t."""

    def __init__(self, process: GaussianProcess, mean: Tensor, var: Tensor):
        self.process, self.mean, self.var = process, mean, var
        self.shape = tuple(mean.shape)

    def law(self, t: Tensor | float, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of p_t in float64, broadcasting against ``like [B, *shape]``."""
        t = expand(t, like)
        alpha = self.process.alpha(t)
        return alpha * self.mean, alpha**2 * self.var + self.process.sigma(t) ** 2

    def sample(self, rng: Random, n: int) -> Tensor:
        return self.mean + self.var.sqrt() * rng.normal((n, *self.shape), dtype=torch.float64)

    def posterior(self, x_t: Tensor, t: Tensor | float, cond: Cond = NO_COND) -> Gaussian:
        t = expand(t, x_t)
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        total = alpha**2 * self.var + sigma**2
        gain = alpha * self.var / total
        a, b, var = cast(x_t, gain, (1 - gain * alpha) * self.mean, self.var * sigma**2 / total)
        return Gaussian(a * x_t + b, var)

    def marginal_log_prob(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        mean, var = self.law(t, x_t)
        return Gaussian(mean.expand(x_t.shape), var).log_prob(x_t)

    def score(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        mean, var = cast(x_t, *self.law(t, x_t))
        return (mean - x_t) / var

    def flow(self, x_t: Tensor, t: Tensor | float, s: Tensor | float) -> Tensor:
        r"""The probability flow from t to s, exact: alpha_s m + sqrt(v_s/v_t)(x_t - alpha_t m)."""
        (m_t, v_t), (m_s, v_s) = self.law(t, x_t), self.law(s, x_t)
        ratio = (v_s / v_t).sqrt()
        a, b = cast(x_t, ratio, m_s - ratio * m_t)
        return a * x_t + b

    def flow_log_det(self, x_t: Tensor, t: Tensor | float, s: Tensor | float) -> Tensor:
        """log |d x_s / d x_t| of that flow, ``[B]``."""
        (_, v_t), (_, v_s) = self.law(t, x_t), self.law(s, x_t)
        return sum_rest((0.5 * (v_s / v_t).log()).expand(x_t.shape))
