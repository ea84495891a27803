"""Coverage: how often the truth lies in the central interval of the draws, which should be as often as its mass says."""

from __future__ import annotations

from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.series.ensemble import quantiles_of, require_ensemble


def central_interval(draws: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Lower and upper end of the interval of that mass: quantiles (1 - level)/2 and (1 + level)/2, ``[N, ...]``.

    The quantile of level p lies at rank p (M + 1) of M draws (type 6 of Hyndman and Fan 1996), so that a truth of the draws' own
    law lies within exactly as often as the level says, however few draws there are; other types cover too little.

    Raises:
        DataError: so few draws that the interval is their whole range or nearly: fewer than 2 / (1 - level).
    """
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval lies between 0 and 1, got {level}")
    least = -(-2 // round(1 - level, 9))
    if draws.shape[1] < least:
        raise DataError(f"an interval of {level:.0%} needs at least {least:.0f} draws, got {draws.shape[1]}")
    ends = quantiles_of(draws, ((1 - level) / 2, (1 + level) / 2), exchangeable=True)
    return ends[:, 0], ends[:, 1]


def covered(draws: Tensor, truth: Tensor, level: float = 0.9) -> Tensor:
    """1 for each cell whose truth lies in the interval, ends included, else 0."""
    x, y = require_ensemble(draws, truth)
    low, high = central_interval(x, level)
    return ((low <= y) & (y <= high)).double()


def width(draws: Tensor, truth: Tensor, level: float = 0.9) -> Tensor:
    """The interval's width for each cell: of two forecasts that cover as they should, the narrower is better."""
    x, _ = require_ensemble(draws, truth)
    low, high = central_interval(x, level)
    return high - low
