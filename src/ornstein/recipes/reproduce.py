"""Run a recipe's check over several seeds and write its row of the ledger; nothing else writes there."""

from __future__ import annotations

import os
import sys
import time
import tomllib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch

from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.recipes import ledger, registry
from ornstein.recipes.check import Check
from ornstein.recipes.fingerprint import code_hash
from ornstein.recipes.ledger import Row, judge
from ornstein.training.signals import ended_by_signals

CHECKS = "ornstein.recipes.checks"


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
) -> Row:
    """Measure a recipe's central claim at small scale over ``seeds`` seeds (0, 1, ..) and write its row of the ledger.

    Args:
        on_progress: told before the first seed and after each how far it is, in [0, 1], and a few words.
        out: the folder of the ledger; by default that of the checkout around the current directory.

    Raises:
        UsageError: unknown recipe, no check, seeds below 1, or no checkout here and no ``out``.
        OrnsteinError: ``out`` cannot be written (found before anything is measured).
    """
    card, check = registry.card(name), get_check(name)
    if seeds < 1:
        raise UsageError(f"seeds must be at least 1, got {seeds}")
    folder = Path(out) if out is not None else results_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OrnsteinError(f"cannot write to {folder}: {e}. Choose another --out") from e
    if not os.access(folder, os.W_OK):
        raise OrnsteinError(f"cannot write to {folder}: no permission. Choose another --out")
    code = code_hash(card, check)  # of what runs, should the files change meanwhile
    begin, worked, measured = time.monotonic(), processor_seconds(), []
    if on_progress is not None:
        on_progress(0.0, f"seed 1 of {seeds}")
    with ended_by_signals():
        for seed in range(seeds):
            measured.append(check.measure(seed))
            if on_progress is not None:
                on_progress((seed + 1) / seeds, f"seed {min(seed + 2, seeds)} of {seeds}")
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
        machine=machine(),
        torch=torch.__version__,
        code=code,
        processor_seconds=round(processor_seconds() - worked, 1),
        memory_mib=peak_memory(),
    )
    ledger.write(row, folder)
    return row


def processor_seconds() -> float:
    """Time that all cores together have worked for this process and the processes it has waited for."""
    return sum(os.times()[:4])


def peak_memory() -> float | None:
    """The most memory that this process has held, in MiB; None where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def machine() -> str:
    """The class of this machine: ``2 CPU cores, AVX512, 1 thread used``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    return (
        f"{cores} CPU core{'s' * (cores > 1)}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{threads} thread{'s' * (threads > 1)} used"
    )


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
