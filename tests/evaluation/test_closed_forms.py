"""The distances between known laws and of known sets, from formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation import frechet, kid
from ornstein.evaluation.authenticity import authenticity
from ornstein.evaluation.classifier_score import classifier_score
from ornstein.evaluation.energy import energy_distance
from ornstein.evaluation.memorisation import memorisation
from ornstein.evaluation.mmd import mmd
from ornstein.evaluation.pairwise import nearest
from ornstein.evaluation.sliced_wasserstein import directions, sliced_wasserstein, wasserstein_1d
from ornstein.evaluation.two_sample import two_sample
from ornstein.evaluation.vendi import vendi

N = 20_000


def normal(n: int, dims: int, seed: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return mean + std * torch.randn(n, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_frechet_between_gaussians() -> None:
    wanted = 3 * (0.5**2 + (1 - 1.5) ** 2)
    assert frechet(normal(N, 3, 1), normal(N, 3, 2, 0.5, 1.5)) == pytest.approx(wanted, rel=0.03)


def test_kid_between_gaussians() -> None:
    # One dimension: E (x y + 1)^3 = 1 + 3 m_x m_y + 3 E x^2 E y^2 + E x^3 E y^3.
    def moments(m: float, s: float) -> tuple[float, float, float]:
        return m, m * m + s * s, m**3 + 3 * m * s * s

    def k(a: tuple[float, ...], b: tuple[float, ...]) -> float:
        return 1 + 3 * a[0] * b[0] + 3 * a[1] * b[1] + a[2] * b[2]

    p, q = moments(0, 1), moments(0.8, 1.2)
    wanted = k(p, p) + k(q, q) - 2 * k(p, q)
    assert kid(normal(6000, 1, 1), normal(6000, 1, 2, 0.8, 1.2)) == pytest.approx(wanted, rel=0.08)


def test_mmd_between_gaussians() -> None:
    # E k = (s^2 / (s^2 + v))^{D/2} exp(-|m|^2 / 2 (s^2 + v)), v the variance of x - y and m its mean.
    d, s, mean, std, n = 2, 1.3, 0.7, 1.5, 6000

    def k(v: float, m: float) -> float:
        return (s * s / (s * s + v)) ** (d / 2) * math.exp(-d * m * m / (2 * (s * s + v)))

    wanted = k(2, 0) + k(2 * std**2, 0) - 2 * k(1 + std**2, mean)
    assert mmd(normal(n, d, 1), normal(n, d, 2, mean, std), s) == pytest.approx(wanted, rel=0.05)


def test_energy_distance_between_gaussians() -> None:
    def folded(m: float, v: float) -> float:  # E|N(m, v)|
        return math.sqrt(2 * v / math.pi) * math.exp(-m * m / (2 * v)) + m * math.erf(m / math.sqrt(2 * v))

    wanted = 2 * folded(0.9, 1 + 0.5**2) - folded(0, 2) - folded(0, 2 * 0.5**2)
    assert energy_distance(normal(6000, 1, 1), normal(6000, 1, 2, 0.9, 0.5)) == pytest.approx(wanted, rel=0.05)


def test_sliced_wasserstein_between_gaussians() -> None:
    # Equal covariances: W_2 of the projections is |u.m|, whose mean square over the sphere is |m|^2 / D.
    x = normal(2000, 4, 1)
    m = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    assert sliced_wasserstein(x + m, x, 4000) == pytest.approx(float(m.norm()) / 2, rel=0.03)
    u = directions(4, 10, seed=3)
    exact = (m @ u).square().mean().sqrt()
    assert sliced_wasserstein(x + m, x, u) == pytest.approx(float(exact), rel=1e-10)


def test_wasserstein_in_one_dimension_by_hand() -> None:
    # {0, 3} against {0, 0, 3}: a sixth of the mass moves by 3.
    a, b = torch.tensor([[3.0], [0.0]]), torch.tensor([[0.0], [3.0], [0.0]])
    assert float(wasserstein_1d(a, b, 1)) == pytest.approx(0.5, rel=1e-6)
    assert float(wasserstein_1d(a, b, 2)) == pytest.approx(1.5, rel=1e-6)


def test_vendi_counts() -> None:
    basis = torch.eye(6)
    assert vendi(basis) == pytest.approx(6)
    assert vendi(basis[:2].repeat(50, 1)) == pytest.approx(2)
    assert vendi(torch.ones(9, 4)) == pytest.approx(1)


def test_classifier_score_counts_classes() -> None:
    sure = 50 * torch.eye(5).repeat(20, 1)
    assert classifier_score(sure) == pytest.approx(5, rel=1e-6)
    assert classifier_score(sure, splits=10) == pytest.approx(5, rel=1e-6)
    assert classifier_score(torch.zeros(30, 5)) == pytest.approx(1)
    with pytest.raises(UsageError, match=r"splits must lie in 1 .. 100, got 0"):
        classifier_score(sure, 0)


def test_two_samples_of_one_law_and_of_two() -> None:
    # Between N(0, 1) and N(m, 1) in one dimension the best classifier is right with probability Phi(m / 2).
    apart = two_sample(normal(4000, 1, 1), normal(4000, 1, 2, 1.0))
    assert apart.accuracy == pytest.approx(0.5 * (1 + math.erf(0.5 / math.sqrt(2))), abs=0.02)
    assert apart.p_value < 1e-10
    ps = [two_sample(normal(200, 5, 2 * s), normal(200, 5, 2 * s + 1)).p_value for s in range(100)]
    assert 0.01 <= sum(p < 0.05 for p in ps) / 100 <= 0.12  # uniform under equality
    assert abs(sum(ps) / 100 - 0.5) < 0.1


def test_authenticity() -> None:
    # On a line, a sample lies at distance r ~ Exp(2) of its nearest point, whose only nearer neighbour can be the one on
    # the far side, at e ~ Exp(1): P(r > e) = 1/3.
    x = torch.rand(8000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert authenticity(x[:4000], x[4000:]) == pytest.approx(1 / 3, abs=0.03)
    train = normal(1500, 4, 1)
    assert authenticity(train[:200] + 1e-6, train) == 0
    assert authenticity(train + 100, train) == 1


def test_memorisation_finds_the_copies() -> None:
    train, unseen = normal(1500, 6, 1), normal(1000, 6, 2)
    fresh = normal(1000, 6, 3)
    honest = memorisation(fresh, unseen, train)
    assert honest.nearest_to_train == pytest.approx(1, abs=0.05)
    assert honest.memorised == pytest.approx(0.01, abs=0.015)
    copied = fresh.clone()
    copied[::4] = train[:250] + 1e-3
    audit = memorisation(copied, unseen, train)
    assert audit.memorised == pytest.approx(0.25, abs=0.02)
    assert {(4 * j, j) for j in range(250)} >= set(audit.most_suspicious(50))


def test_nearest_is_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = normal(30, 3, 1).float(), normal(50, 3, 2).float()
    monkeypatch.setattr("ornstein.evaluation.pairwise.BLOCK_BYTES", 7 * 50 * 4)  # 7 rows a block
    values, places = nearest(a, b, 4)
    wanted = torch.cdist(a, b).sort(1)
    torch.testing.assert_close(values, wanted.values[:, :4])
    assert torch.equal(places, wanted.indices[:, :4])
    own, _ = nearest(a, a, 1, same=True)
    d = torch.cdist(a, a)
    d.fill_diagonal_(torch.inf)
    torch.testing.assert_close(own[:, 0], d.min(1).values)
    with pytest.raises(DataError, match="k = 30 neighbours need more than 30 points, got 30"):
        nearest(a, a, 30, same=True)


@pytest.mark.parametrize("metric", [mmd, energy_distance, sliced_wasserstein, two_sample])
def test_vectors_that_cannot_be_compared(metric: object) -> None:
    x, bad = torch.randn(20, 3), torch.full((20, 3), torch.nan)
    with pytest.raises(DataError, match="samples hold NaN or infinity"):
        metric(bad, x)  # type: ignore[operator]
    with pytest.raises(DataError, match=r"samples must be feature vectors \[N, D\], got shape \(20, 3, 1\)"):
        metric(x[..., None], x)  # type: ignore[operator]
