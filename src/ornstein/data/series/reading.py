"""Rows of text to a table of series: what CSV files hold. Errors name the line and the column."""

from __future__ import annotations

import csv
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from ornstein.core.errors import DataError, UsageError, suggest
from ornstein.data.series.clock import joined, parse_stamps
from ornstein.data.series.record import Record, SeriesTable

MISSING = frozenset({"", "na", "nan", "null", "none", "n/a", "#n/a", "-", "?"})
"""What stands for a missing value, in any case."""
PARTS = ("year", "month", "day", "hour", "minute")


@final
@dataclass(frozen=True)
class Layout:
    """Which columns are what. ``time`` may be several: some of year, month, day, hour, minute.

    ``columns`` empty: every column that is nothing else. ``series`` names the column that tells series apart, ``label`` the
    one that holds their class, ``static`` the covariates that stay the same within a series.
    """

    time: str = ""
    columns: tuple[str, ...] = ()
    series: str = ""
    static: tuple[str, ...] = ()
    label: str = ""

    @property
    def times(self) -> tuple[str, ...]:
        """The columns of the time."""
        return tuple(t.strip() for t in self.time.split(",") if t.strip())

    def resolve(self, header: Sequence[str], name: str) -> Layout:
        """The layout with ``time`` and ``columns`` filled in from the file's header.

        Raises:
            UsageError: a column that the header lacks (the nearest is named), or one that has two roles.
        """
        time = self.time or next((h for h in header if h.strip().lower() in _TIMES), "")
        if not time and {"year", "month", "day"} <= set(header):
            time = ",".join(p for p in PARTS if p in header)
        if not time:
            raise UsageError(f"{name} has no column that is called {' or '.join(_TIMES)}; name the one with the time")
        some = Layout(time, self.columns, self.series, self.static, self.label)
        others = {*some.times, self.series, *self.static, self.label} - {""}
        columns = self.columns or tuple(h for h in header if h not in others)
        for wanted in (*some.times, *columns, *sorted(others)):
            if wanted not in header:
                raise UsageError(f"{name} has no column '{wanted}': {suggest(wanted, header)}")
        both = others & set(columns)
        if both:
            raise UsageError(f"column '{min(both)}' is asked for as a value and as something else; choose one")
        if len(some.times) > 1 and not ({"year", "month", "day"} <= set(some.times) <= set(PARTS)):
            raise UsageError(f"a time of several columns is made of {', '.join(PARTS)}; got {time}")
        return Layout(time, columns, self.series, self.static, self.label)


_TIMES = ("time", "timestamp", "datetime", "date", "ts", "time_hour")


def read_csv(path: str | Path, layout: Layout | None = None, name: str = "") -> SeriesTable:
    """Read a comma-separated file (``.csv``, ``.csv.xz``) with a header.

    Raises:
        DataError: no such file, no header, text in a number column, rows of another length, unusable time stamps.
        UsageError: a column that there is not.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"{path} is not there; give a .csv file with a header")
    try:
        opener = lzma.open if path.suffix == ".xz" else open
        with opener(path, "rt", newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 ({error.reason}); convert it first") from error
    lines = [i + 1 for i, row in enumerate(rows) if row]
    rows = [row for row in rows if row]
    if len(rows) < 2:
        raise DataError(f"{path} has no rows below its header; give at least one")
    header = [cell.strip() for cell in rows[0]]
    _require_header(header, path)
    for row, line in zip(rows[1:], lines[1:], strict=True):
        if len(row) != len(header):
            raise DataError(f"{path}, line {line} has {len(row)} cells, the header {len(header)}; mend that line")
    chosen = (layout or Layout()).resolve(header, str(path))
    place = {column: header.index(column) for column in header}
    data = rows[1:]
    return from_columns(
        lambda column: [row[place[column]] for row in data],
        chosen,
        [f"{path}, line {line}" for line in lines[1:]],
        name or path.name.removesuffix(".xz").removesuffix(".csv"),
    )


def _require_header(header: Sequence[str], path: Path) -> None:
    """Names, not values: refuse a first line that holds numbers or dates, and a name that is there twice."""
    for cell in header:
        if _is_value(cell):
            raise DataError(
                f"{path} has no header: its first line holds '{cell}'; put the names of the columns into the first line"
            )
    twice = [h for i, h in enumerate(header) if h in header[:i]]
    if twice:
        raise DataError(f"{path} has two columns '{twice[0]}'; rename one")


def _is_value(cell: str) -> bool:
    if cell.lower() in MISSING:
        return False
    try:
        float(cell)
    except ValueError:
        return len(cell) >= 8 and cell[:4].isdigit() and cell[4] in "-/"
    return True


def from_columns(
    column: Callable[[str], Sequence[str]], layout: Layout, where: Sequence[str], name: str
) -> SeriesTable:
    """Columns of text as a table; ``layout`` is resolved, ``where`` says of each row where it stood."""
    times = layout.times
    texts = [column(t) for t in times]
    try:
        joint = list(texts[0]) if len(times) == 1 else [
            joined(list(zip(times, row, strict=True))) for row in zip(*texts, strict=True)
        ]  # fmt: skip
    except ValueError as error:
        raise DataError(f"'{name}': the columns {layout.time} do not make a date everywhere: {error}") from error
    stamps = parse_stamps(joint, where)
    values = np.stack([_floats(column(c), c, where) for c in layout.columns], 1)
    keys = list(column(layout.series)) if layout.series else [name] * len(where)
    records = []
    groups: dict[str, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    statics = {s: column(s) for s in layout.static}
    labels = column(layout.label) if layout.label else None
    for key, rows in groups.items():
        static = tuple((s, _constant(statics[s], rows, s, key)) for s in layout.static)
        label = str(_constant(labels, rows, layout.label, key, text=True)) if labels is not None else ""
        _require_order(stamps.seconds, rows, where)
        records.append(Record(values[rows], stamps.seconds[rows], key, static, label))
    return SeriesTable(tuple(records), layout.columns, name, stamps.calendar, layout.time, layout.series, stamps.zone)


def _require_order(seconds: np.ndarray, rows: Sequence[int], where: Sequence[str]) -> None:
    """What :class:`Record` requires too, said with the line of the file."""
    back = np.flatnonzero(np.diff(seconds[list(rows)]) <= 0)
    if not len(back):
        return
    before, at = rows[int(back[0])], rows[int(back[0]) + 1]
    if seconds[before] == seconds[at]:
        raise DataError(
            f"{where[at]} has the time stamp of {where[before]} again; keep one of them, or name the column that tells the "
            "series apart (series)"
        )
    raise DataError(f"{where[at]} lies before {where[before]} in time; sort the rows by time")


def _floats(texts: Sequence[str], column: str, where: Sequence[str]) -> np.ndarray:
    out = np.empty(len(texts))
    for i, text in enumerate(texts):
        word = text.strip()
        if word.lower() in MISSING:
            out[i] = np.nan
            continue
        try:
            out[i] = float(word)
        except ValueError:
            raise DataError(
                f"{where[i]}, column '{column}': '{text}' is no number; leave the cell empty if the value is missing"
            ) from None
        if np.isinf(out[i]):
            raise DataError(f"{where[i]}, column '{column}' is infinite; leave the cell empty if the value is missing")
    return out


def _constant(texts: Sequence[str], rows: Sequence[int], column: str, key: str, text: bool = False) -> float | str:
    """The one value of a static column within a series: a number where it is one, else text."""
    found = {texts[i].strip() for i in rows}
    if len(found) != 1:
        some = ", ".join(sorted(found)[:3])
        raise DataError(
            f"'{column}' is to stay the same within series '{key}' and holds {some}; make it a value column"
        )
    word = found.pop()
    try:
        return word if text else float(word)
    except ValueError:
        return word
