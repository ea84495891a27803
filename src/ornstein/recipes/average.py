"""A loadable model from a run's stored averages."""

from __future__ import annotations

from pathlib import Path

from ornstein.core.errors import CheckpointError
from ornstein.training.checkpoint import read_manifest, save_checkpoint
from ornstein.training.posthoc import Averaged, reconstruct
from ornstein.training.snapshots import snapshots


def average(run: str | Path, std: float, out: str | Path, step: int | None = None) -> tuple[Path, Averaged]:
    """Write the average of relative width ``std`` at a stored ``step`` as a checkpoint that :func:`ornstein.load` takes.

    Raises:
        CheckpointError: the run has no snapshots, or one of them is damaged.
        UsageError: no profile is so wide, or there is no snapshot of that step.
    """
    run = Path(run)
    found = reconstruct(run, std, step)
    meta = read_manifest(snapshots(run)[0])["meta"]
    try:
        kept = {"recipe": meta["recipe"], "config": meta["config"]}
    except KeyError as e:
        raise CheckpointError(f"the snapshots of {run} name no {e}: they were not written by ornstein train") from e
    about = {"ema_std": std, "step": found.step, "seen": found.seen, "profile_error": found.profile_error}
    return save_checkpoint(Path(out), {"model": found.tensors}, {**kept, "about": about}), found
