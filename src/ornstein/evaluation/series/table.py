"""The metrics of series by name."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from torch import Tensor

from ornstein.evaluation.modality import Better, Given, Measure, Modality, Need, table_of
from ornstein.evaluation.series.autocorrelation import (
    autocorrelation,
    cross_correlation_distance,
)
from ornstein.evaluation.series.collection import Series, SeriesSettings, require_same_form
from ornstein.evaluation.series.coverage import covered, width
from ornstein.evaluation.series.crps import crps, crps_fair, crps_quantile
from ornstein.evaluation.series.crps_sum import channel_sums
from ornstein.evaluation.series.discriminative import discriminative
from ornstein.evaluation.series.energy_score import energy_score
from ornstein.evaluation.series.ensemble import CellScore, cell_sums, mean_over_cells, per_magnitude
from ornstein.evaluation.series.moving import require_moving
from ornstein.evaluation.series.point_errors import absolute_error, squared_error
from ornstein.evaluation.series.predictive import predictive
from ornstein.evaluation.series.quantile_loss import quantile_loss
from ornstein.evaluation.series.spectral import log_spectral_distance, periodogram

Inputs = Given[Series]
_PAIRS: frozenset[Need] = frozenset({"reference", "pairs"})
_LOWER: Better = "lower"


def _settings(x: Inputs) -> SeriesSettings:
    return cast(SeriesSettings, x.settings)


def _cells(name: str, score: CellScore, x: Inputs) -> dict[str, float]:
    return {name: mean_over_cells(x, name, score)}


def _normalised(x: Inputs) -> dict[str, float]:
    return {"crps_normalized": per_magnitude(x, "crps_normalized", crps_quantile)}


def _of_sums(name: str, score: CellScore, x: Inputs) -> dict[str, float]:
    column = x.pair_column(name, lambda mine, theirs: cell_sums(score)(*channel_sums(mine, theirs)))
    total, count = column.sum(0)
    return {name: float(total / count)}


def _of_sums_normalised(x: Inputs) -> dict[str, float]:
    sums = x.once("sums", lambda: channel_sums(x.every_sample, x.every_pair))
    given = Given(*sums, None, x.settings, x.index, True, x.once("sums kept", dict[str, Any]))
    return {"crps_sum_normalized": per_magnitude(given, "crps_sum_normalized", crps_quantile)}


def _energy(x: Inputs) -> dict[str, float]:
    def score(mine: Series, theirs: Series) -> Tensor:
        cells = theirs.cells
        draws, truth = mine.x * cells[:, None], theirs.single * cells  # cells that do not count add nothing to a norm
        return energy_score(draws.flatten(2), truth.flatten(1))

    return {"energy_score": float(x.pair_column("energy_score", score).mean())}


def _mae(x: Inputs) -> dict[str, float]:
    return {"mae": mean_over_cells(x, "absolute", partial(absolute_error, point=_settings(x).point))}


def _rmse(x: Inputs) -> dict[str, float]:
    return {"rmse": mean_over_cells(x, "squared", partial(squared_error, point=_settings(x).point)) ** 0.5}


def _mre(x: Inputs) -> dict[str, float]:
    return {"mre": per_magnitude(x, "absolute", partial(absolute_error, point=_settings(x).point))}


def _quantile_loss(x: Inputs) -> dict[str, float]:
    score = partial(quantile_loss, levels=tuple(_settings(x).quantiles))
    return {"quantile_loss": mean_over_cells(x, "quantile_loss", score)}


def _coverage(x: Inputs) -> dict[str, float]:
    level = _settings(x).level
    return {
        "interval_coverage": mean_over_cells(x, "covered", partial(covered, level=level)),
        "interval_width": mean_over_cells(x, "width", partial(width, level=level)),
    }


def _spectral(x: Inputs) -> dict[str, float]:
    for series, name in ((x.every_sample, "samples"), (x.reference, "reference")):
        require_moving(series.single, name)
    theirs = x.once("spectral reference", lambda: periodogram(x.reference.single).mean(0))
    mine = x.column("spectral", lambda s: periodogram(s.single)).mean(0)
    return {"spectral": log_spectral_distance(mine, theirs)}


def _autocorrelation(x: Inputs) -> dict[str, float]:
    lags = min(_settings(x).lags, x.every_sample.x.shape[2] - 1)
    for series, name in ((x.every_sample, "samples"), (x.reference, "reference")):
        require_moving(series.single, name)
    theirs = x.once("autocorrelation reference", lambda: autocorrelation(x.reference.single, lags).nanmean(0))
    mine = x.column("autocorrelation", lambda s: autocorrelation(s.single, lags)).nanmean(0)
    return {"autocorrelation": float((mine - theirs).abs().mean())}


def _cross(x: Inputs) -> dict[str, float]:
    return {"cross_correlation": cross_correlation_distance(x.samples.single, x.reference.single)}


def _discriminative(x: Inputs) -> dict[str, float]:
    s = _settings(x)
    found = discriminative(x.samples.single, x.reference.single, s.hidden, s.updates, s.seed)
    x.errors["discriminative"] = found.error
    return {"discriminative": found.score}


def _predictive(x: Inputs) -> dict[str, float]:
    s = _settings(x)
    found = predictive(x.samples.single, x.reference.single, s.hidden, s.updates, s.seed)
    x.errors.update(predictive=found.error, predictive_real=found.real_error)
    return {"predictive": found.score, "predictive_real": found.real}


def _cell_row(name: str, about: str, score: CellScore) -> Measure[Series]:
    return Measure(name, about, {name: _LOWER}, partial(_cells, name, score), _PAIRS)


def _sum_row(name: str, about: str, score: CellScore) -> Measure[Series]:
    return Measure(name, about, {name: _LOWER}, partial(_of_sums, name, score), _PAIRS)


_NETWORK = ("hidden", "updates", "seed")

METRICS = table_of(
    (
        _cell_row("crps", "CRPS of the draws' empirical law, in the data's unit: proper", crps),
        _cell_row("crps_fair", "CRPS without bias in the number of draws", crps_fair),
        _cell_row("crps_quantile", "CRPS as twice the mean quantile loss at .05, .10, .., .95", crps_quantile),
        Measure(
            "crps_normalized", "sum of crps_quantile over sum of |y|, as papers on forecasting print it",
            {"crps_normalized": "lower"}, _normalised, _PAIRS,
        ),
        _sum_row("crps_sum", "crps of the sum over channels", crps),
        _sum_row("crps_sum_fair", "crps_fair of the sum over channels", crps_fair),
        Measure(
            "crps_sum_normalized", "crps_normalized of the sum over channels, the CRPS-sum of papers",
            {"crps_sum_normalized": "lower"}, _of_sums_normalised, _PAIRS,
        ),
        Measure(
            "energy_score", "energy score of the joint law of all steps and channels", {"energy_score": "lower"}, _energy, _PAIRS
        ),
        Measure("mae", "mean absolute error of the point forecast", {"mae": "lower"}, _mae, _PAIRS, ("point",)),
        Measure("rmse", "root mean square error of the point forecast", {"rmse": "lower"}, _rmse, _PAIRS, ("point",)),
        Measure("mre", "sum of absolute errors over sum of |y|", {"mre": "lower"}, _mre, _PAIRS, ("point",)),
        Measure(
            "quantile_loss", "pinball loss, mean over the quantiles", {"quantile_loss": "lower"}, _quantile_loss, _PAIRS,
            ("quantiles",),
        ),
        Measure(
            "coverage", "how often the truth lies in the central interval of mass `level`, and its width",
            {"interval_coverage": "", "interval_width": "lower"}, _coverage, _PAIRS, ("level",),
        ),
        Measure(
            "discriminative", "|accuracy - 1/2| of a GRU that tells samples from data", {"discriminative": "lower"},
            _discriminative, uses=_NETWORK, least=20, resampled=False,
        ),
        Measure(
            "predictive", "error on data of a GRU that forecasts the next step, trained on samples, and on data",
            {"predictive": "lower", "predictive_real": ""}, _predictive, uses=_NETWORK, least=20, resampled=False,
        ),
        Measure("spectral", "distance of mean power spectra, dB", {"spectral": "lower"}, _spectral),
        Measure(
            "autocorrelation", "mean difference of mean autocorrelations", {"autocorrelation": "lower"}, _autocorrelation,
            uses=("lags",),
        ),
        Measure(
            "cross_correlation", "mean difference of the correlations between channels", {"cross_correlation": "lower"}, _cross
        ),
    )
)  # fmt: skip


def _suits(row: Measure[Series], samples: Series) -> bool:
    """Several draws are forecasts and measured in pairs; one series each is a set."""
    channels = samples.x.shape[3]
    return ("pairs" in row.needs) == (samples.draws > 1) and (channels > 1 or row.name != "cross_correlation")


SERIES = Modality(
    "series", "time series: forecasts with several draws, or sets", Series, METRICS,
    ("spectral", "autocorrelation"), SeriesSettings, require_same_form, _suits,
)  # fmt: skip
