"""The doctor: what is wrong with data or with a run, and what to do about it. One check, one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ornstein.core.errors import OrnsteinError
from ornstein.core.finding import Finding, warning
from ornstein.data import Images, Table
from ornstein.data import doctor as data_doctor
from ornstein.recipes.doctor import memorised, same_data, scale, weights
from ornstein.recipes.doctor.case import Case, data_of
from ornstein.training import doctor as run_doctor
from ornstein.training.checkpoint import latest_checkpoint
from ornstein.training.doctor.one_batch import NAME as ONE_BATCH
from ornstein.training.doctor.one_batch import one_batch


def is_run(what: str | Path) -> bool:
    """Whether this is the folder of a run rather than data."""
    path = Path(what)
    return (path / "checkpoints").is_dir() or ((path / "config.json").is_file() and (path / "metrics.jsonl").is_file())


def examine_data(what: str | Path | Table, size: int | None = None) -> Iterator[Finding]:
    """The checks of data."""
    table, finding = data_doctor.opened(what, size)
    yield finding
    if table is not None:
        yield from data_doctor.examine(table)


def examine_run(
    run: str | Path, data: str | Path | Images | None = None, quick: bool = False, device: str = "cpu"
) -> Iterator[Finding]:
    """The checks of a run: its files, its configuration, and, unless ``quick``, a short training and some samples.

    ``data`` are the run's training data, where they cannot be found by what the checkpoint says of them.
    """
    run = Path(run)
    yield from run_doctor.examine(run)
    found, _ = latest_checkpoint(run, parts=())
    if found is None:
        return
    system, finding = weights.check(run, found.meta)
    yield finding
    if system is None:
        return
    what = data if data is not None else data_of(found.meta)
    if what is None:
        name = (found.meta.get("data") or {}).get("name", "unknown")
        yield warning("opens", f"the training data ('{name}') are not here", "say where they are: --data")
        return
    images, finding = data_doctor.opened(what, getattr(system.config, "size", None))
    yield finding
    if not isinstance(images, Images):
        return
    system.to(device)
    case = Case(run, found.meta, system, images, device)
    yield same_data.check(case)
    yield scale.check(case)
    yield from data_doctor.examine(images)
    if quick:
        return
    fresh, stage = case.fresh()
    try:
        yield one_batch(fresh.modules, stage, device)
    except OrnsteinError as e:
        yield warning(ONE_BATCH, f"could not be tried: {e}", "mend that first")
    yield memorised.check(case)


def verdict(findings: list[Finding]) -> str:
    """One line for all."""
    bad = {level: sum(f.level == level for f in findings) for level in ("error", "warning")}
    if not any(bad.values()):
        return f"{len(findings)} checks, nothing found"
    return f"{len(findings)} checks: {bad['error']} errors, {bad['warning']} warnings"
