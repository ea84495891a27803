"""Noise levels by analysis: against the definitions, by other means."""

from __future__ import annotations

import math

import pytest
import torch

from ornstein.core.errors import DataError, UsageError
from ornstein.samplers.noise_levels import largest_distance, level_count, level_ratio


def test_the_largest_distance() -> None:
    x = torch.randn(40, 2, 3, generator=torch.Generator().manual_seed(0))
    want = max(float((a - b).norm()) for a in x for b in x)
    assert largest_distance(x, rows=7) == pytest.approx(want)
    with pytest.raises(DataError, match="at least 2 data points, got 1"):
        largest_distance(x[:1])
    with pytest.raises(DataError, match="NaN or infinity"):
        largest_distance(torch.tensor([[0.0], [math.nan]]))


@pytest.mark.parametrize("dims", [12, 64, 3072])
def test_the_ratio_makes_shells_overlap_by_half(dims: int) -> None:
    """r of sigma_i eps is near N(sqrt(D) sigma_i, sigma_i^2/2); half of it lies within 3 sqrt(1/2) sigma_{i-1} of the next."""
    gamma = level_ratio(dims)
    normal = torch.distributions.Normal(torch.tensor(0.0).double(), torch.tensor(1.0).double())
    a = math.sqrt(2 * dims) * (gamma - 1)
    assert float(normal.cdf(torch.tensor(a + 3 * gamma)) - normal.cdf(torch.tensor(a - 3 * gamma))) == pytest.approx(
        0.5
    )
    assert gamma > 1


def test_published_counts_follow() -> None:
    """Song & Ermon 2020 took 232 levels for CIFAR-10 from 50 to 0.01; the equation itself asks for about 220."""
    assert level_count(50.0, 0.01, level_ratio(3072)) == pytest.approx(232, rel=0.06)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: level_ratio(0), "at least 1 dimension, got 0"),
        (lambda: level_ratio(4), "in 4 dimensions shells of noise overlap at any ratio"),
        (lambda: level_count(1.0, 2.0, 1.1), "0 < sigma_min < sigma_max, got 2.0 and 1.0"),
        (lambda: level_count(2.0, 1.0, 1.0), "ratio above 1, got 1.0"),
    ],
)
def test_levels_that_cannot_be(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=message):
        call()
