"""Checks of the Rate rung: Kolmogorov's equations, by automatic differentiation of the marginals."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.distributions import Categorical, Dirac
from ornstein.processes.base import Rate
from ornstein.testing.conformance.compare import close, require
from ornstein.testing.conformance.times import inner_times, name


def _table(process: Rate, x_0: Tensor, t: Tensor) -> Tensor:
    """q(x_t | x_0), ``[B, ..., K]``."""
    law = process.marginal(x_0, t)
    assert isinstance(law, Categorical)
    return law.logits.exp()


def _slope(process: Rate, x_0: Tensor, t: Tensor) -> Tensor:
    """d q(x_t | x_0)/dt by central differences, to about 1e-8."""
    h = 1e-5
    return (_table(process, x_0, t + h) - _table(process, x_0, t - h)) / (2 * h)


def _flow(rows: list[Tensor], q: Tensor) -> Tensor:
    """sum_i q_i row_i, over the states that are reached."""
    out = torch.zeros_like(q)
    for i, row in enumerate(rows):
        weight = q[..., i, None]
        out = out + torch.where(weight > 0, weight * row, 0.0)
    return out


def check_generator(process: Rate, x_0: Tensor) -> None:
    """Rows sum to 0, jumps have rates >= 0, and dq/dt = sum_i q_i rate(i): the forward equation."""
    for t in inner_times(process, 4):
        q = _table(process, x_0, t)
        rows = [process.rate(torch.full_like(x_0, i), t) for i in range(q.shape[-1])]
        for i, row in enumerate(rows):
            jumps = torch.cat([row[..., :i], row[..., i + 1 :]], -1)
            require(bool((jumps >= 0).all()), f"{name(process)}: a rate of leaving state {i} is negative")
            close(row.sum(-1), torch.zeros(1), f"{name(process)}: rates of state {i} do not sum to 0", atol=1e-9)
        close(_flow(rows, q), _slope(process, x_0, t), f"{name(process)}: forward equation", rtol=1e-5, atol=1e-6)


def check_reverse_generator(process: Rate, x_0: Tensor) -> None:
    """With x_0 known, -dq/dt = sum_i q_i reverse_rate(i): the chain run backwards has the same marginals."""
    for t in inner_times(process, 4):
        q = _table(process, x_0, t)
        rows = [process.reverse_rate(torch.full_like(x_0, i), t, Dirac(x_0)) for i in range(q.shape[-1])]
        close(_flow(rows, q), -_slope(process, x_0, t), f"{name(process)}: backward equation", rtol=1e-4, atol=1e-5)


def check_ratio(process: Rate, x_0: Tensor) -> None:
    """With x_0 known the ratio is q(y | x_0)/q(x_t | x_0), for the x_t that noise produces."""
    prior = process.prior(x_0.shape)
    assert isinstance(prior, Categorical)
    for t in inner_times(process, 4):
        q = _table(process, x_0, t)
        for state in range(q.shape[-1]):
            noise = prior.probs[..., state, None] > 0
            got = process.ratio(torch.full_like(x_0, state), t, Dirac(x_0))
            wanted = q / q[..., state, None]
            close(
                torch.where(noise, got, 1.0), torch.where(noise, wanted, 1.0), f"{name(process)}: ratio at {state}",
                rtol=1e-5,
            )  # fmt: skip
