r"""Continuous ranked probability score of an ensemble, exactly: E|X - y| - 1/2 E|X - X'|. Gneiting & Raftery 2007, eq. 21.

The score of one forecast law F is int (F(z) - 1[y <= z])^2 dz = int_0^1 2 (1[y <= q_a] - a)(q_a - y) da, in the data's unit.
From M draws there are several estimators, and numbers of different ones do not compare, hence the names:

* ``crps``: of the empirical law of the draws, E|X - X'| = M^-2 sum_ij |x_i - x_j|. A proper score of the ensemble as it is; as
  an estimate of the law behind it too large, by E|X - X'| / (2 M).
* ``crps_fair``: M (M - 1) in place of M^2, without bias in M. Ferro 2014.
* ``crps_quantile``: the second integral as a mean over the levels .05, .10, .., .95 of the draws' quantiles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.evaluation.series.ensemble import quantiles_of, require_ensemble

LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Of the quantile form, as papers on forecasting and imputation take them (Tashiro et al. 2021, 2107.03502)."""


def _spread(draws: Tensor) -> Tensor:
    """sum_ij |x_i - x_j| over axis 1, from the order: 2 sum_i (2 i - M - 1) x_(i)."""
    m = draws.shape[1]
    weight = 2 * torch.arange(1, m + 1, dtype=draws.dtype) - m - 1
    centred = draws - draws.mean(1, keepdim=True)  # the weights sum to 0; a large mean would cost digits
    return 2 * torch.einsum("nm...,m->n...", centred.sort(dim=1).values, weight)


def crps(draws: Tensor, truth: Tensor) -> Tensor:
    """Of draws ``[N, M, ...]`` and truth ``[N, ...]``, for each cell ``[N, ...]``: the empirical law's score."""
    x, y = require_ensemble(draws, truth)
    return (x - y[:, None]).abs().mean(1) - _spread(x) / (2 * x.shape[1] ** 2)


def crps_fair(draws: Tensor, truth: Tensor) -> Tensor:
    """The same without bias in the number of draws, of which it needs two; may be negative for one cell."""
    x, y = require_ensemble(draws, truth, least=2)
    m = x.shape[1]
    return (x - y[:, None]).abs().mean(1) - _spread(x) / (2 * m * (m - 1))


def crps_quantile(draws: Tensor, truth: Tensor, levels: tuple[float, ...] = LEVELS) -> Tensor:
    """Mean over the levels of 2 (1[y <= q_a] - a)(q_a - y), with the draws' quantiles q_a by linear interpolation."""
    x, y = require_ensemble(draws, truth)
    q = quantiles_of(x, levels)
    a = torch.tensor(levels, dtype=torch.float64).reshape(1, -1, *[1] * (x.ndim - 2))
    y = y[:, None]
    return (2 * ((y <= q).double() - a) * (q - y)).mean(1)
