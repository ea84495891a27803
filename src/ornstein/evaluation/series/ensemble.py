"""What scores of an ensemble share: draws beside what happened, quantiles of draws, means over observed cells."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.modality import Given
from ornstein.evaluation.series.collection import Series

CellScore = Callable[[Tensor, Tensor], Tensor]
"""draws ``[N, M, ...]``, truth ``[N, ...]`` -> a number for each cell, ``[N, ...]``"""


def require_ensemble(draws: Tensor, truth: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    """Both in float64: draws ``[N, M, ...]`` and truth ``[N, ...]``.

    Raises:
        DataError: shapes that do not fit, fewer than ``least`` draws, NaN or infinity.
    """
    if draws.ndim < 2 or draws.shape[:1] + draws.shape[2:] != truth.shape:
        raise DataError(
            f"an ensemble [N, draws, ...] is scored against [N, ...], got {tuple(draws.shape)} and {tuple(truth.shape)}"
        )
    if draws.shape[1] < least:
        raise DataError(f"the score needs at least {least} draws of each, got {draws.shape[1]}")
    if not bool(torch.isfinite(draws).all() and torch.isfinite(truth).all()):
        raise DataError("the draws or what they are compared with hold NaN or infinity")
    return draws.double(), truth.double()


def quantiles_of(draws: Tensor, levels: tuple[float, ...], exchangeable: bool = False) -> Tensor:
    """Empirical quantiles over axis 1, ``[N, M, ...]`` -> ``[N, Q, ...]``: level p lies at rank 1 + p (M - 1), linearly between
    draws; ``exchangeable`` at p (M + 1), below which a further draw of the same law falls with probability p.
    """
    if not levels or not all(0 < a < 1 for a in levels):
        raise UsageError(f"quantile levels lie between 0 and 1, got {levels}")
    ordered = draws.sort(dim=1).values
    p, m = torch.tensor(levels, dtype=torch.float64), draws.shape[1]
    place = (p * (m + 1) - 1).clamp(0, m - 1) if exchangeable else p * (m - 1)
    low = place.floor().long()
    high = (low + 1).clamp_max(draws.shape[1] - 1)
    part = (place - low).reshape(1, -1, *[1] * (draws.ndim - 2)).to(draws)
    return ordered[:, low] + part * (ordered[:, high] - ordered[:, low])


def cell_sums(score: CellScore) -> Callable[[Series, Series], Tensor]:
    """Of each series: the sum of the score over its observed cells, and their number, ``[N, 2]``."""

    def sums(samples: Series, reference: Series) -> Tensor:
        cells = reference.cells
        found = torch.where(cells, score(samples.x, reference.single), torch.zeros((), dtype=torch.float64))
        return torch.stack([found.flatten(1).sum(1), cells.flatten(1).sum(1).double()], 1)

    return sums


def mean_over_cells(x: Given[Series], name: str, score: CellScore) -> float:
    """The mean of a cell's score over all observed cells of all series."""
    total, count = x.pair_column(name, cell_sums(score)).sum(0)
    return float(total / count) if count else float("nan")


def per_magnitude(x: Given[Series], name: str, score: CellScore) -> float:
    """The sum of a cell's score over the sum of what happened, without signs.

    Raises:
        DataError: that sum is 0.
    """
    total = x.pair_column(name, cell_sums(score))[:, 0].sum()
    size = x.pair_column("magnitude", cell_sums(lambda draws, truth: truth.abs()))[:, 0].sum()
    if not size > 0:
        raise DataError(f"{name} divides by the sum of |y|, which is 0 here; take a score that does not")
    return float(total / size)
