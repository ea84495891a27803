"""Generalised normal noise, the regression on its score, and Langevin steps by a score alone."""

from __future__ import annotations

import math
from typing import Any, final

import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.codecs import Identity
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Score
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.scores import ScoreNetwork
from ornstein.objectives.heavy_tailed import HeavyTailedScore
from ornstein.objectives.times import Fixed, UniformTimes
from ornstein.processes import VP
from ornstein.processes.heavy_tailed import GeneralisedNormal, HeavyTailedVE
from ornstein.samplers import simulate
from ornstein.samplers.score_annealing import ScoreAnnealing
from ornstein.testing import exact


@pytest.mark.parametrize("beta", [0.6, 1.0, 1.5, 2.0])
def test_draws_follow_the_law(beta: float) -> None:
    """Variance 1, the fourth moment of the law, and the distribution function at its quartiles."""
    n = 200_000
    law = GeneralisedNormal(torch.zeros(n, 1, dtype=torch.float64), torch.ones((), dtype=torch.float64), beta)
    x = law.sample(Stream(0))[:, 0]
    kurtosis = math.exp(math.lgamma(5 / beta) + math.lgamma(1 / beta) - 2 * math.lgamma(3 / beta))
    assert abs(float(x.mean())) < 5 / n**0.5
    assert abs(float(x.var()) - 1) < 5 * ((kurtosis - 1) / n) ** 0.5
    if beta >= 1:
        assert float((x**4).mean()) == pytest.approx(kurtosis, rel=0.15)
    for quantile in (0.25, 0.5, 0.9, 0.999):
        y = torch.quantile(x.abs()[:100_000], quantile) / law.width
        below = float(torch.special.gammainc(torch.tensor(1 / beta).double(), y**beta))
        assert abs(below - quantile) < 5 * (quantile * (1 - quantile) / 100_000) ** 0.5 + 1e-6


def test_known_members() -> None:
    x = torch.tensor([[0.3, -1.2]], dtype=torch.float64)
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)
    torch.testing.assert_close(GeneralisedNormal(zero, one, 2.0).log_prob(x), normal)
    laplace = torch.distributions.Laplace(0.0, math.sqrt(0.5)).log_prob(x).sum(1)
    torch.testing.assert_close(GeneralisedNormal(zero, one, 1.0).log_prob(x), laplace)


@pytest.mark.parametrize("beta", [0.8, 1.0, 1.7])
def test_the_score_is_the_gradient(beta: float) -> None:
    x = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64, requires_grad=True)
    law = GeneralisedNormal(torch.full((1, 3), 0.1, dtype=torch.float64), torch.tensor(0.7).double(), beta)
    (wanted,) = torch.autograd.grad(law.log_prob(x).sum(), x)
    torch.testing.assert_close(law.score(x.detach()), wanted)


class Constant(nn.Module):
    def __init__(self, value: float):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.value * torch.ones_like(x)


def test_the_loss_of_laplace_noise_is_known() -> None:
    """sigma times the target is +-sqrt(2): a network that says 0 has the loss 1, whatever the level."""
    objective = HeavyTailedScore(ScoreNetwork(Constant(0.0), HeavyTailedVE(1.0)), Identity(), UniformTimes())
    loss = objective(Batch(torch.randn(50, 3, dtype=torch.float64)), Stream(0))
    assert float(loss.value.detach()) == pytest.approx(1.0)
    gaussian = HeavyTailedScore(ScoreNetwork(Constant(0.0), HeavyTailedVE(2.0)), Identity(), Fixed(0.5))
    assert float(gaussian(Batch(torch.zeros(20_000, 1)), Stream(0)).value.detach()) == pytest.approx(0.5, rel=0.03)


@final
class Tent(Denoiser):
    """The score of N(0.5, 1/4 + sigma^2)."""

    def __init__(self) -> None:
        super().__init__()
        self.process = HeavyTailedVE(2.0, 0.01, 10.0)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Score:
        return Score((0.5 - x_t) / (0.25 + self.process.sigma(t) ** 2))


def test_annealing_reaches_the_data() -> None:
    denoiser = Tent()
    n = 4000
    rng = Stream(0)
    x = denoiser.process.prior((n, 1)).sample(rng).double()
    grid = torch.cat([torch.linspace(1, 0.02, 120), torch.zeros(1)]).double()
    end = simulate(ScoreAnnealing(denoiser, inner=10, rate=0.1), x, grid, rng)
    assert abs(float(end.mean()) - 0.5) < 0.05 and abs(float(end.std()) - 0.5) < 0.05


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: HeavyTailedVE(0.5), UsageError, r"beta must lie in \(0.5, 2\].*got 0.5"),
        (lambda: HeavyTailedVE(1.0, 0.0), UsageError, "0 < sigma_min < sigma_max"),
        (lambda: ScoreAnnealing(Tent(), inner=0), UsageError, "inner >= 1"),
        (lambda: ornstein.build("heavy-tailed-dsm", settings={"beta": 3.0, "size": 8}), UsageError, "beta must lie in"),
        (
            lambda: HeavyTailedScore(ScoreNetwork(nn.Identity(), VP()), Identity(), UniformTimes()),
            CapabilityError,
            "needs HeavyTailedVE, got VP",
        ),
        (
            lambda: simulate(
                ScoreAnnealing(exact.gaussian(VP()).denoiser), torch.zeros(1, 1), torch.tensor([1.0, 0.0]), Rng([0])
            ),
            CapabilityError,
            "gives a score, got Gaussian",
        ),
    ],
)
def test_what_cannot_be_meant(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()
