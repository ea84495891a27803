"""pandas frames to tables of series and back. pandas is an extra, and nothing here imports it but to make a frame."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ornstein.core.errors import DataError, OrnsteinError
from ornstein.data.series.clock import show_stamp
from ornstein.data.series.reading import Layout, from_columns
from ornstein.data.series.record import SeriesTable

if TYPE_CHECKING:
    import pandas


def is_frame(what: object) -> bool:
    """Whether it is a pandas frame."""
    return type(what).__module__.partition(".")[0] == "pandas" and hasattr(what, "columns")


def from_frame(frame: pandas.DataFrame, layout: Layout | None = None, name: str = "frame") -> SeriesTable:
    """A frame as a table; the time is a column, or the index where that holds time stamps.

    Raises:
        DataError, UsageError: as :func:`ornstein.data.series.read_csv`.
    """
    if not len(frame):
        raise DataError(f"'{name}' has no rows; give at least one")
    given = layout or Layout()
    index_name = str(frame.index.name or "time")
    use_index = _is_time(frame.index.dtype) and given.time in ("", index_name)
    header = [str(c) for c in frame.columns]
    twice = [h for i, h in enumerate(header) if h in header[:i]]
    if twice:
        raise DataError(f"'{name}' has two columns '{twice[0]}'; rename one")
    if use_index:
        if index_name in header:
            raise DataError(f"'{name}' has '{index_name}' as index and as column; drop one")
        header = [index_name, *header]
        given = Layout(index_name, given.columns, given.series, given.static, given.label)
    chosen = given.resolve(header, f"'{name}'")
    by_name = dict(zip([str(c) for c in frame.columns], frame.columns, strict=True))

    def column(wanted: str) -> list[str]:
        values: Any = frame.index if use_index and wanted == index_name else frame[by_name[wanted]]
        return [_text(v) for v in values]

    where = [f"'{name}', row {label}" for label in (range(len(frame)) if use_index else frame.index)]
    return from_columns(column, chosen, where, name)


def _is_time(dtype: Any) -> bool:
    return getattr(dtype, "kind", "") == "M"


def _text(value: Any) -> str:
    """A cell as text; what pandas takes for missing is empty."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value))
    if value is None or type(value).__name__ in ("NaTType", "NAType"):
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def require_pandas() -> Any:
    """The library, or an error that says how to get it."""
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise OrnsteinError(
            "frames need the package pandas, which is not installed: pip install 'ornstein[series]'"
        ) from error


def to_frame(table: SeriesTable) -> pandas.DataFrame:
    """All records below each other: the column of the series where there are several, the time, the values."""
    pandas = require_pandas()
    parts = []
    for record in table.records:
        columns: dict[str, Any] = {table.series or "series": record.name} if len(table) > 1 or table.series else {}
        stamps: Any = record.stamps
        if table.calendar:
            stamps = pandas.to_datetime([show_stamp(s, True, table.zone) for s in record.stamps], format="ISO8601")
        columns[table.time if "," not in table.time else "time"] = stamps
        columns |= dict(record.static)
        columns |= {name: record.values[:, k] for k, name in enumerate(table.columns)}
        parts.append(pandas.DataFrame(columns))
    return pandas.concat(parts, ignore_index=True)
