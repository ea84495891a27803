"""Column shapes: 1 - Kolmogorov-Smirnov statistic of numbers, 1 - total variation of categories; 1 is best."""

from __future__ import annotations

import numpy as np

from ornstein.evaluation.tabular.collection import Table


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two samples' empirical distribution functions."""
    at = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(x), at, side="right") / len(x) for x in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def total_variation(a: np.ndarray, b: np.ndarray) -> float:
    """Half the sum of the differences of two samples' frequencies, ``[N]`` and ``[M]`` of texts."""
    _, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    p, q = (np.bincount(c, minlength=codes.max() + 1) / len(c) for c in (codes[: len(a)], codes[len(a) :]))
    return float(np.abs(p - q).sum() / 2)


def column_shapes(samples: Table, reference: Table) -> dict[str, float]:
    """The likeness of each column by name; the metric is their mean."""
    out = {}
    for name, values in samples.columns.items():
        distance = kolmogorov_smirnov if values.dtype.kind == "f" else total_variation
        out[name] = 1 - distance(values, reference.columns[name])
    return out
