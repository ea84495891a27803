"""Seconds that ``ornstein edit RUN --task impute`` takes for a year of hourly records of five columns, half of them missing.

    python benchmarks/series_year.py [--run runs/air] [--minutes 2] [--threads 2] [--out benchmarks/results/series_year.csv]

The records are air and weather in Beijing: a csdi is trained on 2010 to 2013 (unless a run is given), and 2014 is filled with 100
draws by the command that a user would run, reading, writing and plotting included. What is measured is the command's time by the
clock and its processor time; ``mae`` of the median (each column divided by its deviation) and ``coverage``
of the 90 % intervals over the hidden cells come from the same filled table.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from csv_rows import read_rows, write_rows

from ornstein.data.series import Record, open_series
from ornstein.data.series.clock import parse_stamps, show_stamp

COMMAND = (sys.executable, "-m", "ornstein")
CUT = "2014-01-01"


def table(path: Path, record: Record, columns: tuple[str, ...]) -> None:
    """A file as a user has it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time", *columns])
        for stamp, row in zip(record.stamps, record.values, strict=True):
            writer.writerow([show_stamp(stamp, True), *("" if np.isnan(v) else f"{v:g}" for v in row)])


def column(path: Path, name: str) -> np.ndarray:
    """Of a filled table; NaN where empty."""
    with path.open(newline="", encoding="utf-8") as file:
        return np.array([float(row[name] or "nan") for row in csv.DictReader(file)])


def timed(*arguments: str, threads: int) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMMAND, *arguments], check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, spent


def main() -> None:
    """Train if need be, fill, and write the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a trained csdi of these columns (default: one is trained)")
    parser.add_argument("--minutes", type=float, default=2.0, help="of training (default 2)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/series_year.csv"))
    args = parser.parse_args()
    records, cut = open_series("beijing-hours"), float(parse_stamps([CUT], [""]).seconds[0])
    year = records.between(cut, np.inf).records[0]
    hidden = (np.random.default_rng(0).random(year.values.shape) < 0.5) & year.observed
    with tempfile.TemporaryDirectory() as folder:
        past, gaps, filled = (Path(folder) / name for name in ("past.csv", "gaps.csv", "filled.csv"))
        table(gaps, Record(np.where(hidden, np.nan, year.values), year.stamps), records.columns)
        run = args.run
        if run is None:
            run = Path(folder) / "run"
            table(past, records.between(-np.inf, cut).records[0], records.columns)
            timed(
                "train",
                "csdi",
                "--data",
                str(past),
                "--minutes",
                str(args.minutes),
                "--out",
                str(run),
                threads=args.threads,
            )
        seconds, spent = timed(
            "edit", str(run), "--task", "impute", "--input", str(gaps), "-o", str(filled), threads=args.threads
        )
        std = np.array(records.between(-np.inf, cut).scales()[1])
        errors, inside = [], []
        for k, name in enumerate(records.columns):
            m = hidden[:, k]
            truth = year.values[m, k]
            errors.append(np.abs(column(filled, name)[m] - truth).mean() / std[k])
            low, high = (column(filled, f"{name}_q{level}")[m] for level in (0.05, 0.95))
            inside.append(((low <= truth) & (truth <= high)).mean())
    row = {
        "hours": len(year), "columns": len(records.columns), "hidden": int(hidden.sum()), "draws": 100, "threads": args.threads,
        "seconds": f"{seconds:.1f}", "processor_seconds": f"{spent:.1f}", "mae": f"{np.mean(errors):.4f}",
        "coverage": f"{np.mean(inside):.3f}",
    }  # fmt: skip
    print(row)
    write_rows(args.out, [*(r for r in read_rows(args.out) if r["threads"] != str(args.threads)), row])


if __name__ == "__main__":
    main()
