"""The loop runs down for samplers and up for those that ascend, and a transition draws from the law that it names."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian
from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.core.rng import Rng
from ornstein.processes import VP
from ornstein.samplers import Transition, simulate

DOWN = torch.linspace(1, 0, 5, dtype=torch.float64)


class Noising(Transition):
    """The known forward chain: q(x_s | x_t) = N(x_t alpha_s/alpha_t, sigma_s^2 - (alpha_s/alpha_t)^2 sigma_t^2)."""

    ascends = True

    def __init__(self, process: VP):
        self.process = process

    def kernel(self, x_t: Tensor, t: Tensor, s: Tensor, cond: Cond = NO_COND) -> Gaussian:
        p = self.process
        ratio = p.alpha(s) / p.alpha(t)
        return Gaussian(ratio * x_t, p.sigma(s) ** 2 - (ratio * p.sigma(t)) ** 2)


class Still(Transition):
    """Stays where it is, without noise."""

    def kernel(self, x_t: Tensor, t: Tensor, s: Tensor, cond: Cond = NO_COND) -> Gaussian:
        return Gaussian(x_t, torch.zeros(()))


def test_a_forward_chain_reaches_the_marginal() -> None:
    process, x_0 = VP(), torch.full((8000, 1), 2.0, dtype=torch.float64)
    up = torch.linspace(0, 0.4, 6, dtype=torch.float64)
    path = [x_0]
    x = simulate(Noising(process), x_0, up, Rng(range(8000)), on_step=lambda step: path.append(step.x))
    law = process.marginal(x_0, up[-1])
    assert abs(float(x.mean() - law.mean.mean())) < 4 * float((law.var / 8000).sqrt())
    assert abs(float(x.var() / law.var) - 1) < 4 * (2 / 8000) ** 0.5
    assert len(path) == 6


@pytest.mark.parametrize(
    ("sampler", "grid", "words"),
    [(Noising(VP()), DOWN, "ascends: its grid must increase"), (Still(), DOWN.flip(0), "must decrease")],
)
def test_the_wrong_way_is_refused(sampler: Transition, grid: Tensor, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        simulate(sampler, torch.zeros(1, 1), grid, Rng([0]))


def test_broken_rows_are_named() -> None:
    x = torch.tensor([[0.0], [torch.inf]])
    with pytest.raises(OrnsteinError, match=r"samples \[1\] after 4 steps from t = 1; .* start below t_max = 1"):
        simulate(Still(), x, DOWN, Rng(range(2)))
    with pytest.raises(OrnsteinError, match=r"from t = 0; check the weights$"):
        simulate(Noising(VP()), x, DOWN.flip(0), Rng(range(2)))
