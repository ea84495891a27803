"""Our metrics of series beside the implementations that the field trusts."""

from __future__ import annotations

from functools import partial

import numpy as np
import scipy.signal
import scoringrules as sr
import torch
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, root_mean_squared_error
from torch import Tensor

from evaluation.trusted import Numbers, Row
from ornstein.evaluation import Series, measure
from ornstein.evaluation.series import crps, crps_fair, crps_quantile, crps_sum, energy_score
from ornstein.evaluation.series.autocorrelation import autocorrelation
from ornstein.evaluation.series.spectral import periodogram


def ensemble(draws: int = 25) -> tuple[Tensor, Tensor]:
    """Skewed draws ``[6, draws, 8, 3]`` with ties, and truth ``[6, 8, 3]``."""
    g = torch.Generator().manual_seed(3)
    x = torch.randn(6, draws, 8, 3, generator=g, dtype=torch.float64).exp()
    x[:, 4] = x[:, 5]
    return x + 40, torch.randn(6, 8, 3, generator=g, dtype=torch.float64) * 2 + 41.5


def _last(x: Tensor) -> np.ndarray:
    return np.ascontiguousarray(x.movedim(1, -1).numpy())


def of_crps(estimator: str) -> tuple[Numbers, Numbers]:
    x, y = ensemble()
    ours = crps_fair if estimator == "fair" else crps
    theirs = sr.crps_ensemble(y.numpy(), _last(x), estimator=estimator)
    return ours(x, y).flatten().tolist(), theirs.flatten().tolist()


def of_crps_sum() -> tuple[Numbers, Numbers]:
    x, y = ensemble()
    theirs = sr.crps_ensemble(y.sum(-1).numpy(), _last(x.sum(-1)), estimator="nrg")
    return crps_sum(x, y).flatten().tolist(), theirs.flatten().tolist()


def of_crps_quantile() -> tuple[Numbers, Numbers]:
    x, y = (v[:1] for v in ensemble())
    levels = [0.05 * i for i in range(1, 20)]
    theirs = [
        np.mean([2 * mean_pinball_loss([t], [np.quantile(d, a)], alpha=a) for a in levels])
        for t, d in zip(y.flatten().numpy(), _last(x).reshape(-1, 25), strict=True)
    ]
    return crps_quantile(x, y).flatten().tolist(), theirs


def of_crps_normalized(total: bool) -> tuple[Numbers, Numbers]:
    """The published evaluation of imputers, in NumPy: quantile losses summed, over the sum of |y|."""
    x, y = ensemble()
    name = "crps_sum_normalized" if total else "crps_normalized"
    ours = measure(Series(x), Series(y), metrics=[name], draws=0).values[name]
    draws, truth = (x.sum(-1).numpy(), y.sum(-1).numpy()) if total else (x.numpy(), y.numpy())
    losses = []
    for a in np.arange(0.05, 1.0, 0.05):
        q = np.quantile(draws, a, axis=1)
        losses.append(2 * np.sum(np.abs((q - truth) * ((truth <= q) * 1.0 - a))) / np.sum(np.abs(truth)))
    return [ours], [float(np.mean(losses))]


def of_energy_score() -> tuple[Numbers, Numbers]:
    x, y = ensemble()
    theirs = sr.es_ensemble(y.flatten(1).numpy(), x.flatten(2).numpy())
    return energy_score(x.flatten(2), y.flatten(1)).tolist(), theirs.tolist()


def of_point_errors() -> tuple[Numbers, Numbers]:
    x, y = ensemble()
    found = measure(Series(x), Series(y), metrics=["mae", "rmse", "mre"], draws=0).values
    point, truth = np.median(x.numpy(), axis=1).ravel(), y.numpy().ravel()
    mae = mean_absolute_error(truth, point)
    theirs = [mae, root_mean_squared_error(truth, point), mae / np.abs(truth).mean()]
    return [found["mae"], found["rmse"], found["mre"]], theirs


def of_quantile_loss() -> tuple[Numbers, Numbers]:
    x, y = ensemble()
    found = measure(Series(x), Series(y), metrics=["quantile_loss"], draws=0).values
    truth = y.numpy().ravel()
    losses = [mean_pinball_loss(truth, np.quantile(x.numpy(), a, axis=1).ravel(), alpha=a) for a in (0.1, 0.5, 0.9)]
    return [found["quantile_loss"]], [float(np.mean(losses))]


def of_periodogram() -> tuple[Numbers, Numbers]:
    x = ensemble()[0][:, 0]
    _, theirs = scipy.signal.periodogram(x.numpy(), axis=1, detrend="constant", return_onesided=False)
    return periodogram(x).flatten().tolist(), theirs[:, 1:5].ravel().tolist()


def of_autocorrelation() -> tuple[Numbers, Numbers]:
    x = ensemble()[0][:, 0]
    theirs = []
    for series in x.numpy():
        for lag in range(1, 6):
            for channel in series.T:
                centred = channel - channel.mean()
                full = scipy.signal.correlate(centred, centred, mode="full", method="direct")[len(centred) - 1 :]
                theirs.append(full[lag] / full[0])
    return autocorrelation(x, 5).flatten().tolist(), theirs


SCORING = "scoringrules `crps_ensemble`"
ROWS = (
    Row("CRPS of the empirical law", f"{SCORING}, `nrg`", partial(of_crps, "nrg")),
    Row("CRPS of the empirical law, by moments", f"{SCORING}, `qd`", partial(of_crps, "qd")),
    Row("fair CRPS", f"{SCORING}, `fair`", partial(of_crps, "fair")),
    Row("CRPS of the sum over channels", f"{SCORING}, `nrg`", of_crps_sum),
    Row("quantile form of the CRPS", "scikit-learn `mean_pinball_loss`", of_crps_quantile),
    Row("normalised CRPS", "the formula of CSDI's evaluation in NumPy", partial(of_crps_normalized, False)),
    Row("normalised CRPS-sum", "the formula of CSDI's evaluation in NumPy", partial(of_crps_normalized, True)),
    Row("energy score", "scoringrules `es_ensemble`", of_energy_score),
    Row(
        "MAE, RMSE, MRE of the median", "scikit-learn `mean_absolute_error`, `root_mean_squared_error`", of_point_errors
    ),
    Row("quantile loss", "scikit-learn `mean_pinball_loss`", of_quantile_loss),
    Row("periodogram", "scipy `periodogram`", of_periodogram),
    Row("autocorrelation", "scipy `correlate`", of_autocorrelation),
)
