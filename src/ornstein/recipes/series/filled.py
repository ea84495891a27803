"""What filling gaps returns: draws of every missing value, their summaries, files and a plot."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.data.series.clock import show_stamp
from ornstein.data.series.frames import require_pandas
from ornstein.data.series.record import Record, SeriesTable

if TYPE_CHECKING:
    import pandas

LEVELS = (0.05, 0.25, 0.75, 0.95)
"""Of the quantiles that are written beside mean and median: central intervals of 90 % and 50 %."""


@final
@dataclass(frozen=True)
class Filled:
    """``draws[r]`` is ``[n, T, K]`` float32 of record r of ``table``: the value itself where one was observed."""

    table: SeriesTable
    draws: tuple[np.ndarray, ...]
    provenance: dict[str, Any]

    @property
    def missing(self) -> tuple[np.ndarray, ...]:
        """``[T, K]`` bool of each record: what was drawn."""
        return tuple(~r.observed for r in self.table.records)

    def _summary(self, reduce: Any) -> tuple[np.ndarray, ...]:
        found = []
        for record, draws in zip(self.table.records, self.draws, strict=True):
            gaps = ~record.observed
            values = record.values.copy()
            if gaps.any():
                values[gaps] = reduce(draws[:, gaps])
            found.append(values)
        return tuple(found)

    def mean(self) -> tuple[np.ndarray, ...]:
        """``[T, K]`` of each record: the observed values, and the mean of the draws in the gaps."""
        return self._summary(lambda d: d.mean(0, dtype=np.float64))

    def median(self) -> tuple[np.ndarray, ...]:
        """The same with the median."""
        return self._summary(lambda d: np.median(d, 0))

    def quantile(self, level: float) -> tuple[np.ndarray, ...]:
        """The same with a quantile of the draws: of level p at rank p (n + 1), so that intervals cover as often as they say
        however few draws there are."""
        if not 0 < level < 1:
            raise UsageError(f"a quantile's level lies between 0 and 1, got {level}")
        return self._summary(lambda d: np.quantile(d, level, axis=0, method="weibull"))

    def completed(self) -> SeriesTable:
        """The table with the medians in its gaps."""
        records = [
            Record(values, r.stamps, r.name, r.static, r.label)
            for r, values in zip(self.table.records, self.median(), strict=True)
        ]
        t = self.table
        return SeriesTable(tuple(records), t.columns, t.name, t.calendar, t.time, t.series, t.zone)

    def _rows(self, levels: Sequence[float]) -> tuple[list[str], list[list[Any]]]:
        """Header and rows: each column with the median in its gaps, and where it was missing mean and quantiles."""
        t = self.table
        several = len(t) > 1 or bool(t.series)
        header = [t.series or "series"] * several + ["time" if "," in t.time else t.time]
        for column in t.columns:
            header += [column, f"{column}_mean", *(f"{column}_q{level:g}" for level in levels)]
        summaries = [self.median(), self.mean(), *(self.quantile(level) for level in levels)]
        rows: list[list[Any]] = []
        for r, record in enumerate(t.records):
            gaps = ~record.observed
            parts = [s[r] for s in summaries]
            for i in range(len(record)):
                row: list[Any] = [record.name] * several + [show_stamp(record.stamps[i], t.calendar, t.zone)]
                for k in range(len(t.columns)):
                    extra = [float(p[i, k]) for p in parts[1:]] if gaps[i, k] else [None] * (len(parts) - 1)
                    row += [float(parts[0][i, k]), *extra]
                rows.append(row)
        return header, rows

    def to_frame(self, levels: Sequence[float] = LEVELS) -> pandas.DataFrame:
        """All rows as a pandas frame: ``pm2.5`` is observed or the median of the draws; where it was missing ``pm2.5_mean`` and
        ``pm2.5_q0.05`` and so on hold mean and quantiles, elsewhere NaN."""
        pandas = require_pandas()
        header, rows = self._rows(levels)
        frame = pandas.DataFrame(rows, columns=header)
        if self.table.calendar:
            name = "time" if "," in self.table.time else self.table.time
            frame[name] = pandas.to_datetime(frame[name], format="ISO8601")
        return frame.astype({c: float for c in header[1 + (len(self.table) > 1 or bool(self.table.series)) :]})

    def save(self, path: str | Path, levels: Sequence[float] = LEVELS) -> list[Path]:
        """Write the frame as CSV, how it was made as JSON, and a plot of the gaps as PNG; returns the paths."""
        from ornstein.recipes.series.plot import plot

        path = Path(path)
        header, rows = self._rows(levels)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(header)
                writer.writerows(
                    [["" if v is None else f"{v:.7g}" if isinstance(v, float) else v for v in row] for row in rows]
                )
            about, picture = path.with_suffix(".json"), path.with_suffix(".png")
            about.write_text(json.dumps(self.provenance, indent=1), encoding="utf-8")
            plot(self).save(picture)
        except OSError as e:
            raise OrnsteinError(f"could not write {path}: {e}. Choose another output path") from e
        return [path, about, picture]
