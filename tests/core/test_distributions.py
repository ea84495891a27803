"""Distributions: draws, densities and divergences agree with one another."""

from __future__ import annotations

import math

import pytest
import torch

from ornstein.core.distributions import (
    Categorical,
    Dirac,
    Distribution,
    Gaussian,
    Product,
    Score,
    StudentT,
    kl,
)
from ornstein.core.errors import CapabilityError
from ornstein.core.rng import Rng

N = 20_000


def gaussian(mean: list[float], var: list[float]) -> Gaussian:
    """N rows of the same law."""
    return Gaussian(torch.tensor(mean).double().expand(N, -1), torch.tensor(var).double())


def categorical(weights: list[list[float]]) -> Categorical:
    """N rows of the same law."""
    return Categorical(torch.tensor(weights).double().log().expand(N, len(weights), -1))


PAIRS: dict[str, tuple[Distribution, Distribution]] = {
    "gaussian": (gaussian([0.3, -1.0], [0.5, 2.0]), gaussian([0.0, -0.5], [1.0, 1.5])),
    "categorical": (
        categorical([[0.2, 0.3, 0.5], [1.0, 0.0, 3.0]]),
        categorical([[0.4, 0.4, 0.2], [1.0, 1.0, 1.0]]),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_kl_is_the_mean_log_ratio(name: str) -> None:
    p, q = PAIRS[name]
    x = p.sample(Rng(range(N)))
    ratio = p.log_prob(x) - q.log_prob(x)
    wanted = kl(p, q)
    assert torch.allclose(wanted, wanted[:1])
    assert float(wanted[0]) > 0
    assert abs(float(ratio.mean() - wanted[0])) < 5 * float(ratio.std()) / N**0.5
    assert torch.allclose(kl(p, p), torch.zeros(1).double(), atol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_cross_densities_are_normalised(name: str) -> None:
    p, q = PAIRS[name]
    ratio = (p.log_prob(x := q.sample(Rng(range(N)))) - q.log_prob(x)).exp()
    assert abs(float(ratio.mean()) - 1) < 5 * float(ratio.std()) / N**0.5


def test_gaussian_density_is_that_of_torch() -> None:
    mean, var, x = torch.randn(4, 3).double(), torch.rand(3).double() + 0.1, torch.randn(4, 3).double()
    wanted = torch.distributions.Normal(mean, var.sqrt().expand(4, 3)).log_prob(x).sum(1)
    torch.testing.assert_close(Gaussian(mean, var).log_prob(x), wanted)


def test_student_t_draws_have_its_variance_and_tails() -> None:
    law = StudentT(torch.full((N, 1), 2.0).double(), torch.tensor(1.5).double(), dof=8.0)
    z = (law.sample(Rng(range(N))) - 2) / 1.5
    assert float(law.var) == pytest.approx(1.5**2 * 8 / 6)
    assert float((z.abs() > 1.859548).double().mean()) == pytest.approx(0.10, abs=5 * math.sqrt(0.09 / N))
    assert float((z.abs() > 3.355387).double().mean()) == pytest.approx(0.01, abs=5 * math.sqrt(0.0099 / N))


def test_product_draws_and_adds_its_parts() -> None:
    parts = {"x": PAIRS["gaussian"][0], "k": PAIRS["categorical"][0]}
    product = Product(parts)
    draw = product.sample(Rng(range(N)))
    wanted = parts["x"].log_prob(draw["x"]) + parts["k"].log_prob(draw["k"])
    torch.testing.assert_close(product.log_prob(draw), wanted)


def test_what_a_law_cannot_answer_says_why() -> None:
    score = Score(torch.zeros(2, 3))
    with pytest.raises(CapabilityError, match="needs an SDE"):
        _ = score.mean
    with pytest.raises(CapabilityError, match="cannot be drawn"):
        score.sample(Rng([0, 1]))
    with pytest.raises(CapabilityError, match="Dirac has no known density"):
        Dirac(torch.zeros(2)).log_prob(torch.zeros(2))
    with pytest.raises(CapabilityError, match=r"KL\(Dirac \|\| Score\) has no closed form"):
        kl(Dirac(torch.zeros(2)), score)
    with pytest.raises(CapabilityError, match="2 degrees of freedom has no variance"):
        _ = StudentT(torch.zeros(2, 1), torch.ones(1), 2).var
