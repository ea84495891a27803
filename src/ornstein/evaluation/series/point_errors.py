r"""Errors of a point forecast: MAE = mean |y^ - y|, RMSE = sqrt(mean (y^ - y)^2), MRE = sum |y^ - y| / sum |y|.

The point of several draws is their median, or their mean: the record says which, for the median minimises the MAE and the mean
the RMSE.
"""

from __future__ import annotations

from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.evaluation.series.collection import Point
from ornstein.evaluation.series.ensemble import quantiles_of, require_ensemble


def point_of(draws: Tensor, point: Point = "median") -> Tensor:
    """``[N, M, ...]`` -> ``[N, ...]``; the median of an even number of draws lies between the middle two."""
    if point not in ("median", "mean"):
        raise UsageError(f"the point forecast is 'median' or 'mean', got '{point}'")
    return draws.mean(1) if point == "mean" else quantiles_of(draws, (0.5,))[:, 0]


def absolute_error(draws: Tensor, truth: Tensor, point: Point = "median") -> Tensor:
    """Of each cell, in the data's unit."""
    x, y = require_ensemble(draws, truth)
    return (point_of(x, point) - y).abs()


def squared_error(draws: Tensor, truth: Tensor, point: Point = "median") -> Tensor:
    """Of each cell, in the data's unit squared."""
    return absolute_error(draws, truth, point).square()
