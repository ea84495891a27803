"""A table of time series: one record or several, of any length, with gaps anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import final

import numpy as np

from ornstein.core.errors import DataError, UsageError, suggest
from ornstein.data.dataset import array_hash


@final
@dataclass(frozen=True, eq=False)
class Record:
    """One series: ``values [T, K]`` float64 with NaN where nothing was observed, at the times ``stamps [T]`` float64.

    ``stamps`` are seconds since 1970-01-01 of the clock that the record was written by, or plain numbers. ``static`` are the
    covariates that stay the same, numbers or texts by name.
    """

    values: np.ndarray
    stamps: np.ndarray
    name: str = "series"
    static: tuple[tuple[str, float | str], ...] = ()
    label: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape or self.stamps.shape != self.values.shape[:1]:
            raise DataError(
                f"'{self.name}' needs values [T, K] and T time stamps, got {self.values.shape} and {self.stamps.shape}"
            )
        infinite = np.argwhere(np.isinf(self.values))
        if len(infinite):
            row, column = map(int, infinite[0])
            raise DataError(
                f"'{self.name}', row {row + 1}, column {column + 1}: the value is infinite; leave it empty if it is missing"
            )
        wrong = np.flatnonzero(~np.isfinite(self.stamps))
        if len(wrong):
            raise DataError(f"'{self.name}', row {int(wrong[0]) + 1} has no time stamp; give every row one")
        back = np.flatnonzero(np.diff(self.stamps) <= 0)
        if len(back):
            row = int(back[0]) + 2
            twice = self.stamps[row - 1] == self.stamps[row - 2]
            what = f"has the time stamp of row {row - 1} again" if twice else f"lies before row {row - 1} in time"
            remedy = "keep one of them, or name the column that tells the series apart (series)" if twice else "sort it"
            raise DataError(f"'{self.name}', row {row} {what}; {remedy}")

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def observed(self) -> np.ndarray:
        """``[T, K]`` bool."""
        return np.isfinite(self.values)


@final
@dataclass(frozen=True, eq=False)
class SeriesTable:
    """Records with the same columns.

    ``calendar`` says whether the stamps are points in time (and so have hours and weekdays) or plain numbers; ``time`` is the
    name of their column. ``zone`` is the offset that all stamps were written with, as text, or empty.
    """

    records: tuple[Record, ...]
    columns: tuple[str, ...]
    name: str = "series"
    calendar: bool = True
    time: str = "time"
    series: str = ""
    zone: str = ""
    source: str = field(default="", compare=False)
    licence: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.records:
            raise DataError(f"'{self.name}' has no rows; give at least one series")
        if not self.columns or len(set(self.columns)) != len(self.columns):
            raise DataError(
                f"'{self.name}' needs value columns with different names, got {', '.join(self.columns) or 'none'}"
            )
        for record in self.records:
            if record.values.shape[1] != len(self.columns):
                raise DataError(
                    f"series '{record.name}' has {record.values.shape[1]} columns, the table {len(self.columns)}"
                )
            if [k for k, _ in record.static] != [k for k, _ in self.records[0].static]:
                raise DataError(f"series '{record.name}' has other static covariates than '{self.records[0].name}'")

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        rows = sum(map(len, self.records))
        return f"SeriesTable('{self.name}', {len(self)} series, {rows} rows of {', '.join(self.columns)})"

    @property
    def labels(self) -> tuple[str, ...]:
        """The class of each record, or empty where there are no classes."""
        return tuple(r.label for r in self.records) if any(r.label for r in self.records) else ()

    @cached_property
    def step(self) -> float:
        """The median distance of two stamps, 1 where no record has two."""
        gaps = [np.diff(r.stamps) for r in self.records if len(r) > 1]
        return float(np.median(np.concatenate(gaps))) if gaps else 1.0

    @cached_property
    def missing(self) -> float:
        """The share of cells without a value."""
        return 1 - sum(int(r.observed.sum()) for r in self.records) / sum(r.values.size for r in self.records)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of all values, stamps and names."""
        parts = [
            [array_hash(np.nan_to_num(r.values, nan=1e300)), array_hash(r.stamps), list(r.static), r.label]
            for r in self.records
        ]
        about = [list(self.columns), self.calendar, parts]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    def select(self, columns: Sequence[str]) -> SeriesTable:
        """Some of the columns, in the order given.

        Raises:
            UsageError: a column that there is not; the nearest is named.
        """
        for name in columns:
            if name not in self.columns:
                raise UsageError(f"'{self.name}' has no column '{name}': {suggest(name, self.columns)}")
        index = [self.columns.index(name) for name in columns]
        records = tuple(replace(r, values=np.ascontiguousarray(r.values[:, index])) for r in self.records)
        return replace(self, records=records, columns=tuple(columns))

    def between(self, start: float, end: float) -> SeriesTable:
        """The rows with start <= stamp < end; records that have none are left out."""
        kept = []
        for r in self.records:
            rows = (r.stamps >= start) & (r.stamps < end)
            if rows.any():
                kept.append(replace(r, values=r.values[rows], stamps=r.stamps[rows]))
        return replace(self, records=tuple(kept))

    def require_trainable(self) -> SeriesTable:
        """The table itself, if every column has something to learn.

        Raises:
            DataError: a column without any value, or with one and the same value throughout.
        """
        for k, column in enumerate(self.columns):
            values = np.concatenate([r.values[:, k] for r in self.records])
            values = values[np.isfinite(values)]
            if not len(values):
                raise DataError(f"column '{column}' of '{self.name}' has no value at all; leave it out of the columns")
            if values.min() == values.max():
                raise DataError(
                    f"column '{column}' of '{self.name}' is {values[0]:g} throughout, so there is nothing to learn; leave it "
                    "out of the columns"
                )
        return self

    def scales(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each column over the cells that were observed."""
        columns = [np.concatenate([r.values[:, k] for r in self.records]) for k in range(len(self.columns))]
        return tuple(float(np.nanmean(c)) for c in columns), tuple(float(np.nanstd(c)) for c in columns)
