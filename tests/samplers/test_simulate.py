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


class Breaking(Transition):
    """Stays, and from the time ``below`` on returns NaN in row 1."""

    def __init__(self, below: float, ascends: bool = False):
        self.below, self.ascends = below, ascends

    def kernel(self, x_t: Tensor, t: Tensor, s: Tensor, cond: Cond = NO_COND) -> Gaussian:
        broken = s >= self.below if self.ascends else s < self.below
        rows = torch.arange(len(x_t)).reshape(-1, 1) == 1
        return Gaussian(torch.where(broken & rows, torch.nan, x_t), torch.zeros(()))


def test_broken_rows_are_named_with_step_and_time() -> None:
    x = torch.zeros(3, 1)
    with pytest.raises(
        OrnsteinError, match=r"samples \[1\] at step 3 of 4, from t = 0.5 to 0.25: .* check the weights$"
    ):
        simulate(Breaking(below=0.4), x, DOWN, Rng(range(3)))
    with pytest.raises(OrnsteinError, match=r"at step 1 of 4, from t = 1 to 0.75: .* start below t_max = 1"):
        simulate(Breaking(below=2.0), x, DOWN, Rng(range(3)))
    with pytest.raises(OrnsteinError, match=r"at step 1 of 4, from t = 0 to 0.25: .* check the weights$"):
        simulate(Breaking(below=0.0, ascends=True), x, DOWN.flip(0), Rng(range(3)))


def test_the_time_is_that_of_the_broken_sample() -> None:
    own = torch.stack([DOWN, DOWN * 0.8, DOWN], 1)
    with pytest.raises(OrnsteinError, match=r"samples \[1\] at step 3 of 4, from t = 0.4 to 0.2"):
        simulate(Breaking(below=0.3), torch.zeros(3, 1), own, Rng(range(3)))


def test_a_broken_start_is_no_fault_of_the_network() -> None:
    x = torch.tensor([[0.0], [torch.inf]])
    with pytest.raises(OrnsteinError, match=r"started from a state that is not finite in samples \[1\]"):
        simulate(Still(), x, DOWN, Rng(range(2)))
