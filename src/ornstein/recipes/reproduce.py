"""Run a recipe's check over several seeds and write its row of the ledger; nothing else writes there."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import torch

from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.core.machine import machine, peak_memory, processor_seconds, single_threaded
from ornstein.recipes import ledger, registry
from ornstein.recipes.check import Check, Measured
from ornstein.recipes.fingerprint import code_hash
from ornstein.recipes.ledger import Row, judge
from ornstein.training.signals import ended_by_signals

CHECKS = "ornstein.recipes.checks"
OfSeed = tuple[Measured, float | None]
"""of a seed: its figures, and the most memory that its process has held, in MiB"""


def _module(name: str) -> str:
    return f"{CHECKS}.{name.replace('-', '_')}"


def check_names() -> list[str]:
    """The recipes that have a check."""
    return [name for name in sorted(registry.cards()) if find_spec(_module(name)) is not None]


def get_check(name: str) -> Check:
    """A recipe's check.

    Raises:
        UsageError: there is no such recipe (the nearest is named), or it has no check.
    """
    registry.card(name)
    if name not in check_names():
        raise UsageError(f"recipe '{name}' has no check to reproduce; those that have: {', '.join(check_names())}")
    check: Check = import_module(_module(name)).CHECK
    return check


def reproduce(
    name: str,
    seeds: int = 3,
    on_progress: Callable[[float, str], None] | None = None,
    out: str | Path | None = None,
    jobs: int = 1,
) -> Row:
    """Measure a recipe's central claim at small scale over ``seeds`` seeds (0, 1, ..) and write its row of the ledger.

    Args:
        jobs: how many seeds at a time; with several, each in a process of its own, on one thread.
        on_progress: told before the first seed and after each how far it is, in [0, 1], and a few words.
        out: the folder of the ledger; by default that of the checkout around the current directory.

    Raises:
        UsageError: unknown recipe, no check, seeds or jobs below 1, or no checkout here and no ``out``.
        OrnsteinError: ``out`` cannot be written (found before anything is measured).
    """
    card, check = registry.card(name), get_check(name)
    if seeds < 1:
        raise UsageError(f"seeds must be at least 1, got {seeds}")
    if jobs < 1:
        raise UsageError(f"jobs must be at least 1, got {jobs}")
    folder = Path(out) if out is not None else results_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OrnsteinError(f"cannot write to {folder}: {e}. Choose another --out") from e
    if not os.access(folder, os.W_OK):
        raise OrnsteinError(f"cannot write to {folder}: no permission. Choose another --out")
    code = code_hash(card, check)  # of what runs, should the files change meanwhile
    begin, worked = time.monotonic(), processor_seconds()
    measured: list[dict[str, float]] = []
    memory: list[float | None] = []
    if on_progress is not None:
        on_progress(0.0, f"seed 1 of {seeds}")
    with ended_by_signals(), _measuring(check, name, seeds, min(jobs, seeds)) as found:
        for figures, most in found:
            measured.append(dict(figures))
            memory.append(most)
            if on_progress is not None:
                on_progress(len(measured) / seeds, f"seed {min(len(measured) + 1, seeds)} of {seeds}")
    row = Row(
        recipe=name,
        title=card.title,
        paper=card.paper,
        paper_claim=check.paper,
        claim=check.claim,
        holds=all(c.holds(measured) for c in check.conditions),
        conditions=judge(check.conditions, measured),
        seeds=list(range(seeds)),
        measured=measured,
        seconds=round(time.monotonic() - begin, 1),
        machine=machine(jobs),
        torch=torch.__version__,
        code=code,
        processor_seconds=round(processor_seconds() - worked, 1),
        memory_mib=max((m for m in memory if m is not None), default=None),
    )
    ledger.write(row, folder)
    return row


@contextmanager
def _measuring(check: Check, name: str, seeds: int, jobs: int) -> Iterator[Iterator[OfSeed]]:
    """The figures of each seed in order, as they come, and the memory that they took."""
    if jobs == 1:
        yield ((check.measure(seed), peak_memory()) for seed in range(seeds))
        return
    with single_threaded():
        pool = get_context("spawn").Pool(jobs)
    with pool:  # what still runs is ended when the block is left by an error or a signal
        yield pool.imap(partial(_measure, name), range(seeds))
        pool.close()
        pool.join()


def _measure(name: str, seed: int) -> OfSeed:
    """One seed, in a process of its own."""
    torch.set_num_threads(1)
    with ended_by_signals():
        return get_check(name).measure(seed), peak_memory()


def results_folder(start: Path | None = None) -> Path:
    """The ledger of the checkout that holds the current directory. It lies in the package, so that it ships."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        project = folder / "pyproject.toml"
        if (
            project.is_file()
            and tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name") == "ornstein"
        ):
            return folder / "src" / "ornstein" / "results"
    raise UsageError(
        f"{here} is not inside a checkout of ornstein, where the ledger is kept; change into one, or give a folder (--out)"
    )
