"""From a table of series to what a recipe's config takes from it, and to the windows that training draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch

from ornstein.codecs.standard import DISTANCES, interpolated
from ornstein.core.errors import DataError, UsageError
from ornstein.data.series.clock import suitable
from ornstein.data.series.open import open_series
from ornstein.data.series.reading import Layout
from ornstein.data.series.record import SeriesTable
from ornstein.data.series.static import describe, encode
from ornstein.data.series.windows import Windows
from ornstein.recipes.reading import Found, Request
from ornstein.recipes.series.fill import layout_of


class SeriesReader:
    """Tables of series: pandas frames, ``.csv`` files, named sets."""

    def read(self, request: Request) -> Found:
        if request.captions is not None or request.size is not None:
            raise UsageError("size and captions are for images; leave them out")
        if request.former is None:
            table = open_table(request.data, request.config, request.given)
        else:  # a resumed run keeps its columns
            table = open_table(request.data, request.former, ("columns",))
        return Found(dataset=table, settings=settings_of(table))

    def settings(self, request: Request) -> Mapping[str, Any]:
        return settings_of(open_table(request.data, request.config, request.given))

    def training(self, config: Any, dataset: SeriesTable) -> Windows:
        return training_windows(config, dataset)


def open_table(data: Any, asked: Any, given: Collection[str]) -> SeriesTable:
    """The table that the config asks for; ``given`` are the fields that somebody set, columns only then being a wish.

    Raises:
        DataError, UsageError: unusable data: which row or column, and the remedy.
    """
    layout: Layout = layout_of(asked)
    if "columns" not in given:
        layout = dataclasses.replace(layout, columns=())
    return open_series(data, layout).require_trainable()


def settings_of(table: SeriesTable) -> dict[str, Any]:
    """What a config takes from the data."""
    mean, std = table.scales()
    static, static_mean, static_std = describe(table)
    span = max(float(r.stamps[-1] - r.stamps[0]) for r in table.records)
    return {
        "columns": table.columns,
        "mean": mean,
        "std": std,
        "rough": roughness(table),
        "step": table.step,
        "calendar": suitable(table.step, span) if table.calendar else (),
        "static": static,
        "static_mean": static_mean,
        "static_std": static_std,
        "series": table.series,
        "covariates": tuple(name for name, _ in table.records[0].static),
        "classes": tuple(sorted(set(table.labels) - {""})),
    }


ROWS, PIECES, ENOUGH = 48, 1500, 10
"""Rows that stand in for a window, how many such pieces of a table are looked at, and cells from which on a mean is trusted."""


def roughness(table: SeriesTable) -> tuple[float, ...]:
    """Root mean square of what a line between known neighbours misses, for each column at each of
    :data:`~ornstein.codecs.standard.DISTANCES`, on the scale of columns of variance 1.

    In pieces of 48 rows half of the cells are hidden at random, then nine in ten, then a stretch. Within 0.02 .. 2; what no cell
    tells is taken from the nearest distance that some do, 0.5 where there is none.
    """
    mean, std = table.scales()
    length = min(ROWS, max(2, *map(len, table.records)))
    windows = Windows(table, length, max(length // 2, 1))
    few = windows[np.unique(np.linspace(0, len(windows) - 1, PIECES).astype(int))]
    x = (few.x.double() - torch.tensor(mean)[:, None]) / torch.tensor(std)[:, None]
    rng, step = np.random.default_rng(0), np.arange(length)
    cut = np.sort(rng.integers(0, length + 1, (2, len(x), 1, 1)), 0)
    patterns = (rng.random(x.shape) < 0.5, rng.random(x.shape) < 0.9, (step >= cut[0]) & (step < cut[1]))
    total, count = (np.zeros((len(table.columns), len(DISTANCES))) for _ in range(2))
    for pattern in patterns:
        given = x.isfinite() & ~torch.from_numpy(pattern)
        line, distance = interpolated(x, given, few.cond["position"].double())
        sought = x.isfinite() & ~given & distance.isfinite()
        place = (distance / DISTANCES[0]).log2().round().clamp(0, len(DISTANCES) - 1)
        for k in range(len(table.columns)):
            chosen = sought[:, k]
            at, error = place[:, k][chosen].long().numpy(), (x - line)[:, k][chosen].numpy()
            total[k] += np.bincount(at, error**2, len(DISTANCES))
            count[k] += np.bincount(at, minlength=len(DISTANCES))
    found = []
    for k in range(len(table.columns)):
        told = np.flatnonzero(count[k] >= ENOUGH)
        known = np.sqrt(total[k, told] / count[k, told]) if len(told) else np.array([0.5])
        found += np.interp(np.arange(len(DISTANCES)), told if len(told) else [0], known).clip(0.02, 2.0).tolist()
    return tuple(round(v, 4) for v in found)


def training_windows(c: Any, table: SeriesTable) -> Windows:
    """Every window of the table, at every row, with enough values to hide some and keep some.

    Raises:
        DataError: the columns are not those of the config (a resumed run on other data), or there is no such window.
    """
    if table.columns != c.columns:
        raise DataError(
            f"the run was started on the columns {', '.join(c.columns)}, this data has {', '.join(table.columns)}"
        )
    static = encode(table, c.static, c.static_mean, c.static_std) if c.static else None
    return Windows(
        table, c.window, step=c.step, calendar=c.calendar, static=static, classes=c.classes, least=2
    )  # fmt: skip
