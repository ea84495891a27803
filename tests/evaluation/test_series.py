"""Metrics of series against closed forms, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation import Series, SeriesSettings, measure
from ornstein.evaluation.series import (
    autocorrelation_distance,
    covered,
    cross_correlation_distance,
    crps,
    crps_fair,
    crps_quantile,
    discriminative,
    energy_score,
    predictive,
    quantile_loss,
    spectral_distance,
)
from ornstein.evaluation.series.autocorrelation import autocorrelation
from ornstein.evaluation.series.point_errors import point_of

NORMAL = torch.distributions.Normal(torch.zeros(()).double(), torch.ones(()).double())


def quantiles(m: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """The m quantiles of a Gaussian at (i - 1/2)/m, as one forecast ``[1, m]``."""
    return (mean + std * NORMAL.icdf((torch.arange(m).double() + 0.5) / m))[None]


def gaussian_crps(y: float, mean: float, std: float) -> float:
    """Gneiting & Raftery 2007, eq. 5."""
    z = torch.tensor((y - mean) / std).double()
    density = math.exp(float(NORMAL.log_prob(z)))
    return std * (float(z) * (2 * float(NORMAL.cdf(z)) - 1) + 2 * density - 1 / math.sqrt(math.pi))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("y", [-2.0, 0.0, 0.3, 4.0])
def test_crps_of_a_gaussian(y: float) -> None:
    x = quantiles(4000, 0.5, 2.0)
    wanted = gaussian_crps(y, 0.5, 2.0)
    assert float(crps(x, torch.tensor([y]))) == pytest.approx(wanted, abs=5e-4)
    fine = tuple((i + 0.5) / 400 for i in range(400))
    assert float(crps_quantile(x, torch.tensor([y]), fine)) == pytest.approx(wanted, abs=5e-3)


def test_estimators_differ_as_their_names_say() -> None:
    """A standard normal scored by draws of itself: 1/sqrt(pi); the empirical law's is 1 + 1/M times that."""
    x, y = noise(40_000, 20), noise(40_000, seed=1)
    law = 1 / math.sqrt(math.pi)
    assert float(crps_fair(x, y).mean()) == pytest.approx(law, rel=0.01)
    assert float(crps(x, y).mean()) == pytest.approx(law * (1 + 1 / 20), rel=0.01)
    exact = quantiles(4001).expand(2000, -1)
    assert float(crps_quantile(exact, y[:2000]).mean() / crps(exact, y[:2000]).mean()) == pytest.approx(1.049, abs=0.01)


def test_crps_of_one_draw_is_the_absolute_error_and_shifts_do_nothing() -> None:
    x, y = noise(5, 1, 4), noise(5, 4, seed=1)
    torch.testing.assert_close(crps(x, y), (x[:, 0] - y).abs())
    many = noise(5, 9, 4)
    torch.testing.assert_close(crps(many + 1e6, y + 1e6), crps(many, y), atol=1e-8, rtol=0)
    torch.testing.assert_close(energy_score(many[..., :1], y[..., :1]), crps(many, y)[:, 0])


def test_crps_sum_sees_dependence_that_crps_does_not() -> None:
    common = noise(300, 1, 6, 1)
    truth = common[:, 0].expand(-1, -1, 3)
    joint, apart = noise(300, 40, 6, 1, seed=1).expand(-1, -1, -1, 3), noise(300, 40, 6, 3, seed=2)
    values = [
        measure(Series(x), Series(truth), metrics=["crps_fair", "crps_sum_fair", "energy_score"], draws=0).values
        for x in (joint, apart)
    ]
    assert values[0]["crps_fair"] == pytest.approx(values[1]["crps_fair"], rel=0.05)
    # The sum is N(0, 9); of apart draws N(0, 3): E|X - Y| - E|X - X'| / 2 of Gaussians of variance 12 and 6.
    assert values[0]["crps_sum_fair"] == pytest.approx(3 / math.sqrt(math.pi), rel=0.06)
    assert values[1]["crps_sum_fair"] == pytest.approx(
        (math.sqrt(24) - math.sqrt(12) / 2) / math.sqrt(math.pi), rel=0.06
    )
    assert values[0]["crps_sum_fair"] < values[1]["crps_sum_fair"]
    assert values[0]["energy_score"] < values[1]["energy_score"]


def test_point_errors_by_hand() -> None:
    x = torch.tensor(
        [[[[1.0], [5.0]], [[3.0], [5.0]], [[8.0], [5.0]]]]
    )  # 3 draws of 2 steps: medians 3 and 5, means 4, 5
    y = torch.tensor([[[2.0], [-1.0]]])
    found = measure(Series(x), Series(y), metrics=["mae", "rmse", "mre"]).values
    assert found == pytest.approx({"mae": 3.5, "rmse": math.sqrt(37 / 2), "mre": 7 / 3})
    settings = SeriesSettings(point="mean")
    assert measure(Series(x), Series(y), metrics=["mae"], settings=settings).values["mae"] == pytest.approx(4.0)
    assert float(quantile_loss(x[..., 0], y[..., 0], (0.5,))[0, 0]) == pytest.approx(0.5)
    with pytest.raises(UsageError, match="'median' or 'mean', got 'mode'"):
        point_of(x, "mode")  # type: ignore[arg-type]


def test_only_observed_cells_count() -> None:
    x, y = noise(4, 10, 5, 2), noise(4, 5, 2, seed=1)
    observed = torch.zeros(4, 5, 2, dtype=torch.bool)
    observed[:, :3] = True
    metrics = ["crps", "crps_normalized", "crps_sum", "mae", "mre", "coverage", "energy_score"]
    settings = SeriesSettings(level=0.5)
    broken = torch.where(observed, y, 1e9)
    masked = measure(Series(x), Series(broken, observed), metrics=metrics, settings=settings).values
    short = measure(Series(x[:, :, :3]), Series(y[:, :3]), metrics=metrics, settings=settings).values
    assert masked == pytest.approx(short)
    observed[1, 0, 1] = False
    with pytest.raises(DataError, match="series 1 is observed in part at step 0"):
        measure(Series(x), Series(y, observed), metrics=["crps_sum"])
    with pytest.raises(DataError, match="`observed` marks no cell"):
        Series(y, torch.zeros(4, 5, 2))


def test_coverage_of_a_law_by_itself() -> None:
    x, y = noise(3000, 99), noise(3000, seed=1)
    # The k-th and the (100 - k)-th of 99 draws hold 1 - k/50 of the law between them; few draws cover as often as many.
    assert float(covered(x, y, 0.96).mean()) == pytest.approx(0.96, abs=0.012)
    assert float(covered(x[:, :20], y, 0.9).mean()) == pytest.approx(0.9, abs=0.015)
    assert float(covered(x * 0.5, y, 0.9).mean()) < 0.7
    with pytest.raises(DataError, match="an interval of 90% needs at least 20 draws, got 19"):
        covered(x[:, :19], y)
    with pytest.raises(UsageError, match="level of an interval lies between 0 and 1, got 90"):
        covered(x, y, 90)


def test_spectral_distance_of_scaled_series() -> None:
    x = noise(20, 32, 2)
    assert spectral_distance(x, x) == 0
    assert spectral_distance(3 * x + 7, x) == pytest.approx(20 * math.log10(3))


def ar(coefficient: float, n: int, length: int, seed: int = 0) -> Tensor:
    """Stationary first-order autoregressive series ``[n, length, 1]`` of variance 1."""
    eps = noise(n, length, seed=seed)
    x = [eps[:, 0]]
    for t in range(1, length):
        x.append(coefficient * x[-1] + math.sqrt(1 - coefficient**2) * eps[:, t])
    return torch.stack(x, 1)[..., None]


def test_autocorrelation_of_a_known_process() -> None:
    x = ar(0.8, 40, 4000)
    torch.testing.assert_close(
        autocorrelation(x, 3).mean(0)[:, 0], torch.tensor([0.8, 0.64, 0.512]).double(), atol=0.01, rtol=0
    )
    distance = autocorrelation_distance(noise(40, 4000, 1, seed=1), x, lags=3)
    assert distance == pytest.approx((0.8 + 0.64 + 0.512) / 3, abs=0.01)
    still = torch.cat([x[:, :100], torch.ones(5, 100, 1)])  # constant series have none and are left out
    assert autocorrelation_distance(still, x[:, :100], 3) == pytest.approx(0, abs=1e-12)
    with pytest.raises(UsageError, match=r"lags must lie in 1 \.\. 99"):
        autocorrelation_distance(x[:, :100], x[:, :100], 100)


def test_correlation_of_channels() -> None:
    x = noise(200, 30, 2)
    tied = torch.stack([x[..., 0], 0.6 * x[..., 0] + 0.8 * x[..., 1]], -1)
    assert cross_correlation_distance(tied, x) == pytest.approx(0.6, abs=0.03)
    with pytest.raises(DataError, match="at least 2 channels"):
        cross_correlation_distance(x[..., :1], x[..., :1])


def test_a_classifier_tells_what_differs_and_not_what_does_not() -> None:
    same, other = ar(0.9, 120, 12, seed=1), ar(-0.9, 120, 12, seed=2)
    real = ar(0.9, 120, 12)
    assert discriminative(other, real, updates=150).score > 0.4
    alike = discriminative(same, real, updates=150)
    assert alike.score < 3 * alike.error + 0.05
    assert discriminative(same, real, updates=2) == discriminative(same, real, updates=2)  # the seed decides everything


def test_a_forecaster_trained_on_other_dynamics_is_worse() -> None:
    real = ar(0.95, 120, 12)
    found = predictive(ar(-0.95, 120, 12, seed=2), real, updates=150)
    assert found.score > 1.5 * found.real
    copied = predictive(real, real, updates=150)
    assert copied.score == pytest.approx(copied.real, rel=0.35)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Series(torch.full((2, 3), torch.nan)), "NaN or infinity, first in series 0 at step 0"),
        (lambda: Series(torch.zeros(0, 3)), "not empty"),
        (lambda: Series(torch.zeros(3)), r"got \(3,\)"),
        (lambda: Series(noise(4, 5, 2), torch.ones(4, 5, 3)), r"`observed` must be of shape \(4, 5, 2\)"),
        (lambda: measure(Series(noise(4, 5)), Series(noise(4, 6)), metrics=["mae"]), "5 steps and 1 channels, the reference 6"),
        (lambda: measure(Series(noise(4, 5)), Series(noise(4, 5, 2)), metrics=["mae"]), "1 channels, the reference 5 and 2"),
        (lambda: measure(Series(noise(4, 5)), Series(noise(3, 5)), metrics=["mae"]), "there are 4 and 3"),
        (lambda: measure(Series(noise(4, 5)), metrics=["mae"]), "mae needs a reference"),
        (lambda: measure(Series(torch.ones(4, 8)), Series(noise(4, 8))), "samples are constant in channel 0"),
        (lambda: measure(Series(noise(4, 8)), Series(torch.ones(4, 8)), metrics=["autocorrelation"]), "reference are constant"),
        (lambda: measure(Series(noise(4, 3)), Series(noise(4, 3)), metrics=["spectral"]), "at least 4 steps, got 3"),
        (lambda: measure(Series(noise(9, 8)), Series(noise(9, 8)), metrics=["discriminative"]), "at least 20 samples, got 9"),
        (lambda: measure(Series(noise(4, 1, 5, 1)), Series(noise(4, 5)), metrics=["crps_fair"]), "at least 2 draws of each"),
        (lambda: measure(Series(noise(4, 3, 5, 1)), Series(noise(4, 5)), metrics=["spectral"]), "3 draws of each; reshape"),
        (lambda: measure(Series(noise(4, 5)), Series(torch.zeros(4, 5)), metrics=["crps_normalized"]), "which is 0 here"),
        (lambda: crps(noise(3, 4, 5), noise(3, 6)), r"got \(3, 4, 5\) and \(3, 6\)"),
    ],
)  # fmt: skip
def test_bad_series(make: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
