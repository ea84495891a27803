"""Windows of records: the samples that a network of fixed length trains on and is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import final

import numpy as np
import torch

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.data.dataset import Index
from ornstein.data.series.clock import calendar_features
from ornstein.data.series.record import SeriesTable

Place = tuple[int, int]
"""The number of a record, and the row at which a window starts in it."""


@final
class Windows:
    """``length`` consecutive rows of a record, every ``stride`` rows; what no window reaches at its end gets one more.

    A sample is ``x [K, length]`` float32 in the data's unit, NaN where missing and beyond the record's end, with

    * ``position [length]``: the time since the window's first row in units of ``step``; irregular stamps show here;
    * ``calendar [length, 2 n]``: sine and cosine of each feature, where there are any;
    * ``static [S]``: the record's covariates, where there are any;
    * ``label``: the number of the record's class, where there are any.

    Args:
        static: one row of numbers a record, ``[R, S]``.
        least: windows with fewer observed cells than this are left out.
    """

    kind = "windows"

    def __init__(
        self,
        table: SeriesTable,
        length: int,
        stride: int = 1,
        *,
        step: float | None = None,
        calendar: Sequence[str] = (),
        static: np.ndarray | None = None,
        classes: Sequence[str] = (),
        least: int = 0,
        places: Sequence[Place] | None = None,
    ):
        if length < 2 or stride < 1:
            raise UsageError(
                f"windows need a length of at least 2 and a stride of at least 1, got {length} and {stride}"
            )
        if calendar and not table.calendar:
            raise DataError(
                f"the time stamps of '{table.name}' are numbers, which have no {', '.join(calendar)}; give dates"
            )
        self.table, self.length = table, length
        self.step, self.calendar, self.static = step or table.step, tuple(calendar), static
        self.classes = tuple(classes)
        self.places = list(places) if places is not None else self._places(stride, least)
        if not self.places:
            raise DataError(
                f"'{table.name}' has no window of {length} rows with {least} observed values; take a shorter window"
            )

    def _places(self, stride: int, least: int) -> list[Place]:
        found = []
        for r, record in enumerate(self.table.records):
            last = max(len(record) - self.length, 0)
            starts = sorted({*range(0, last + 1, stride), last})
            counts = np.concatenate([[0], np.cumsum(record.observed.sum(1))])
            found += [(r, s) for s in starts if counts[min(s + self.length, len(record))] - counts[s] >= least]
        return found

    @property
    def name(self) -> str:
        """That of the table."""
        return self.table.name

    @property
    def source(self) -> str:
        """That of the table."""
        return self.table.source

    @property
    def content_hash(self) -> str:
        """That of the table: windows are cut the same from the same data."""
        return self.table.content_hash

    @cached_property
    def _padded(self) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """All records behind each other, values ``[sum T, K]`` and stamps, each with a window of padding; their starts."""
        values, stamps, starts, at = [], [], [], 0
        for record in self.table.records:
            pad = self.length
            values += [record.values, np.full((pad, len(self.table.columns)), np.nan)]
            stamps += [record.stamps, record.stamps[-1] + self.step * np.arange(1, pad + 1)]
            starts.append(at)
            at += len(record) + pad
        return np.concatenate(values).astype(np.float32), np.concatenate(stamps), starts

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Index) -> Batch:
        chosen = range(len(self))[index] if isinstance(index, slice) else np.asarray(index).tolist()
        values, stamps, starts = self._padded
        places = [self.places[i] for i in chosen]
        rows = np.array([starts[r] + s for r, s in places])[:, None] + np.arange(self.length)
        x = values[rows].transpose(0, 2, 1)
        when = stamps[rows]
        cond = {"position": torch.from_numpy(((when - when[:, :1]) / self.step).astype(np.float32))}
        if self.calendar:
            cond["calendar"] = torch.from_numpy(calendar_features(when, self.calendar))
        if self.static is not None and self.static.shape[1]:
            cond["static"] = torch.from_numpy(self.static[[r for r, _ in places]].astype(np.float32))
        if self.classes:
            labels = [self.table.records[r].label for r, _ in places]
            cond["label"] = torch.tensor([self.classes.index(v) if v in self.classes else -1 for v in labels])
        return Batch(torch.from_numpy(np.ascontiguousarray(x)), cond)
