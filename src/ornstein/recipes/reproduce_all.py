"""Measure every recipe whose row is missing or of other code, several at a time, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from ornstein.core.errors import UsageError
from ornstein.core.machine import single_threaded
from ornstein.recipes import ledger, registry
from ornstein.recipes.fingerprint import code_hash
from ornstein.recipes.reproduce import check_names, get_check, results_folder


@dataclass(frozen=True)
class Outcome:
    """How one recipe's check ended."""

    recipe: str
    holds: bool | None
    """None: it left no row"""
    seconds: float = 0.0
    error: str = ""


def due(seeds: int, folder: Path) -> list[str]:
    """The recipes without a row of this code over as many seeds, those that took longest before first."""
    rows = {row.recipe: row for row in ledger.rows(folder)}
    names = [
        name
        for name in check_names()
        if name not in rows
        or len(rows[name].seeds) < seeds
        or rows[name].code != code_hash(registry.card(name), get_check(name))
    ]
    return sorted(names, key=lambda name: -rows[name].seconds if name in rows else 0.0)


def reproduce_all(
    seeds: int = 3,
    jobs: int = 1,
    out: str | Path | None = None,
    on_done: Callable[[Outcome, int, int], None] | None = None,
    names: Sequence[str] | None = None,
) -> list[Outcome]:
    """Run ``ornstein reproduce`` for every recipe that is :func:`due`; called again, it goes on with what is left.

    Args:
        jobs: how many at a time; with several, each computes on one thread.
        on_done: told each outcome, how many are done, and of how many.
        names: these alone, due or not.

    Raises:
        UsageError: jobs or seeds below 1, an unknown recipe, no checkout here and no ``out``.
    """
    if jobs < 1 or seeds < 1:
        raise UsageError(f"jobs and seeds must be at least 1, got {jobs} and {seeds}")
    folder = Path(out) if out is not None else results_folder()
    for name in names or ():
        get_check(name)
    todo = list(names) if names is not None else due(seeds, folder)
    done: list[Outcome] = []
    for outcome in _run(todo, seeds, jobs, folder):
        done.append(outcome)
        if on_done is not None:
            on_done(outcome, len(done), len(todo))
    return done


def _run(names: Sequence[str], seeds: int, jobs: int, folder: Path) -> Iterator[Outcome]:
    """The outcomes as they come."""
    with single_threaded() if jobs > 1 else nullcontext(), ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(_one, name, seeds, folder) for name in names]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:  # those not begun are left for the next call
            pool.shutdown(wait=False, cancel_futures=True)


def _one(name: str, seeds: int, folder: Path) -> Outcome:
    """One recipe in a process of its own, so that neither its memory nor its failure is the others'."""
    words = [sys.executable, "-m", "ornstein", "reproduce", name, "--seeds", str(seeds), "--out", str(folder), "--json"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    if ended.stdout.strip():  # the row, which is printed when it is written
        row = json.loads(ended.stdout)
        return Outcome(name, row["holds"], row["seconds"])
    return Outcome(name, None, error=_last(ended.stderr))


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it ended without a word"
