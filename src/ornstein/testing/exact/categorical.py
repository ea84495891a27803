"""Independent categorical data under a categorical process: Bayes' rule on a table."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Categorical
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, sum_rest
from ornstein.processes.base import Process
from ornstein.processes.categorical import CategoricalProcess
from ornstein.testing.exact.problem import Problem


def categorical(process: Process, probs: Tensor) -> CategoricalProblem:
    """x_0 ~ Categorical(probs), ``probs [..., K]`` normalised here, one law per coordinate; ``[K]`` makes one coordinate."""
    if not isinstance(process, CategoricalProcess):
        raise CapabilityError(f"the categorical problem needs a CategoricalProcess; {type(process).__name__} is not")
    p = torch.as_tensor(probs, dtype=torch.float64)
    p = p.unsqueeze(0) if p.ndim == 1 else p
    if p.shape[-1] != process.states or bool((p < 0).any()) or bool((p.sum(-1) <= 0).any()):
        raise UsageError(f"probs need {process.states} weights >= 0 in their last dimension, got {tuple(p.shape)}")
    return CategoricalProblem(process, p / p.sum(-1, keepdim=True))


@final
class CategoricalProblem(Problem):
    r"""p_t = keep p + (1 - keep) limit; p(x_0 = l | x_t) = p_l (keep 1[l = x_t] + (1 - keep) limit_{x_t}) / p_t(x_t)."""

    def __init__(self, process: CategoricalProcess, probs: Tensor):
        self.process, self.probs = process, probs
        self.shape = tuple(probs.shape[:-1])

    def marginal(self, t: Tensor | float, like: Tensor) -> Tensor:
        """p_t as a table ``[1 or B, *shape, K]``."""
        keep = self.process.keep(expand(t, like)).unsqueeze(-1)
        table = keep * self.probs + (1 - keep) * self.process.limit
        return table if table.ndim > self.probs.ndim else table.unsqueeze(0)

    def sample(self, rng: Random, n: int) -> Tensor:
        return rng.categorical(self.probs.log().expand(n, *self.probs.shape))

    def posterior(self, x_t: Tensor, t: Tensor | float, cond: Cond = NO_COND) -> Categorical:
        keep = self.process.keep(expand(t, x_t)).unsqueeze(-1)
        here = torch.nn.functional.one_hot(x_t, self.process.states).double()
        likelihood = keep * here + (1 - keep) * self.process.limit[x_t].unsqueeze(-1)
        return Categorical((self.probs * likelihood).log())

    def marginal_log_prob(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        table = self.marginal(t, x_t).expand(*x_t.shape, -1)
        return sum_rest(table.gather(-1, x_t.unsqueeze(-1)).squeeze(-1).log())

    def score(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        """p_t(y)/p_t(x_t) for each value y of each coordinate, ``[B, ..., K]``."""
        table = self.marginal(t, x_t).expand(*x_t.shape, -1)
        return table / table.gather(-1, x_t.unsqueeze(-1))
