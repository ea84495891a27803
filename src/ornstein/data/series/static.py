"""Static covariates as numbers: scaled where they are numbers, one place for each value where they are texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data.series.record import SeriesTable

Entry = tuple[str, float, float]
"""``("height", mean, std)`` of a number, ``("station=A", 0, 1)`` of a value among texts."""


def describe(table: SeriesTable) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    """Names, means and standard deviations of the places that the covariates of these records take."""
    names: list[str] = []
    means: list[float] = []
    stds: list[float] = []
    for k, (name, _) in enumerate(table.records[0].static):
        values = [r.static[k][1] for r in table.records]
        numbers = [v for v in values if isinstance(v, float)]
        if len(numbers) == len(values):
            names.append(name)
            means.append(float(np.mean(numbers)))
            stds.append(float(np.std(numbers)) or 1.0)
        else:
            texts = sorted({str(v) for v in values})
            names += [f"{name}={v}" for v in texts]
            means += [0.0] * len(texts)
            stds += [1.0] * len(texts)
    return tuple(names), tuple(means), tuple(stds)


def encode(table: SeriesTable, names: Sequence[str], means: Sequence[float], stds: Sequence[float]) -> np.ndarray:
    """``[R, S]``: each record's covariates at those places. A text that was not there in training leaves its places 0.

    Raises:
        DataError: a covariate that the model was trained with and these records lack.
    """
    out = np.zeros((len(table), len(names)))
    for r, record in enumerate(table.records):
        given = dict(record.static)
        for s, place in enumerate(names):
            name, _, value = place.partition("=")
            if name not in given:
                raise DataError(
                    f"the model was trained with the covariate '{name}', which series '{record.name}' lacks; name its column"
                )
            have = given[name]
            out[r, s] = float(str(have) == value) if value else (float(have) - means[s]) / stds[s]
    return out
