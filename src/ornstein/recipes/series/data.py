"""From a table of series to what a recipe's config takes from it, and to the windows that training draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

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


def roughness(table: SeriesTable) -> float:
    """Root mean square of what a line between known neighbours misses, each column divided by its deviation.

    Half of the cells are hidden at random, then nine in ten, then every other day of 24 rows (of short series every other
    quarter). Within 0.05 .. 1; 0.5 where the table is too short to tell.
    """
    mean, std = table.scales()
    rng, missed = np.random.default_rng(0), []
    for record in table.records:
        x, step = (record.values - np.array(mean)) / np.array(std), np.arange(len(record))
        stretch = np.repeat((step // max(min(24, len(record) // 4), 1) % 2 == 1)[:, None], x.shape[1], 1)
        for pattern in (rng.random(x.shape) < 0.5, rng.random(x.shape) < 0.9, stretch):
            given, hidden = record.observed & ~pattern, record.observed & pattern
            for k in range(x.shape[1]):
                if given[:, k].any():
                    line = np.interp(step, step[given[:, k]], x[given[:, k], k])
                    missed.append((x[:, k] - line)[hidden[:, k]])
    total = np.concatenate(missed) if missed else np.empty(0)
    return float(np.clip(np.sqrt(np.mean(total**2)), 0.05, 1.0)) if len(total) else 0.5


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
