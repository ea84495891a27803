"""Pair trends: how alike the dependence of each two columns is; 1 is best.

Two columns of numbers: 1 - |r - r'| / 2 with Pearson's correlations. Two of categories: 1 - total variation of the contingency
tables. One of each: the numbers are put into bins of equal width over the reference's range first. The definitions are those of
the Synthetic Data Vault's quality report.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.tabular.collection import Table
from ornstein.evaluation.tabular.column_shapes import total_variation

SEPARATOR = "\x1f"


def correlation_likeness(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float | None:
    """Of two pairs of columns of numbers; None where a column is constant and has no correlation."""
    if any(np.ptp(x) == 0 for x in (*a, *b)):
        return None
    r = [float(np.corrcoef(*pair)[0, 1]) for pair in (a, b)]
    return 1 - abs(r[0] - r[1]) / 2


def binned(values: np.ndarray, reference: np.ndarray, bins: int) -> np.ndarray:
    """Numbers as names of bins of equal width over the reference's range; what lies outside has bins of its own."""
    if bins < 2:
        raise UsageError(f"bins must be at least 2, got {bins}")
    edges = np.linspace(reference.min(), reference.max(), bins + 1)
    place = np.searchsorted(edges, values, side="right")
    place[values == edges[-1]] = bins
    return place.astype(str)


def contingency_likeness(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """Of two pairs of columns of texts: of the joint frequencies."""
    joined = [np.char.add(np.char.add(x, SEPARATOR), y) for x, y in (a, b)]
    return 1 - total_variation(joined[0], joined[1])


def pair_trends(samples: Table, reference: Table, bins: int = 10) -> dict[tuple[str, str], float]:
    """The likeness of each pair of columns that has one; the metric is their mean.

    Raises:
        DataError: fewer than two columns, or no pair has a correlation.
    """
    if len(samples.columns) < 2:
        raise DataError("pair trends need at least 2 columns")
    numbers = set(samples.numbers)
    out = {}
    for one, two in combinations(samples.columns, 2):
        mine, theirs = ((t.columns[one], t.columns[two]) for t in (samples, reference))
        if {one, two} <= numbers:
            found = correlation_likeness(mine, theirs)
            if found is not None:
                out[one, two] = found
            continue
        names = tuple(
            (binned(m, t, bins), binned(t, t, bins)) if m.dtype.kind == "f" else (m, t)
            for m, t in zip(mine, theirs, strict=True)
        )
        out[one, two] = contingency_likeness((names[0][0], names[1][0]), (names[0][1], names[1][1]))
    if not out:
        raise DataError("no two columns have a correlation: on one side or the other they are constant")
    return out
