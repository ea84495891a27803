"""Are the checkpoints whole?"""

from __future__ import annotations

from pathlib import Path

from ornstein.core.finding import Finding, error, ok, warning
from ornstein.training.checkpoint import checkpoints, latest_checkpoint


def check(run: Path) -> Finding:
    """Hashes of the newest checkpoints, back to the first that is whole."""
    found, torn = latest_checkpoint(run)
    if found is None:
        what = "; ".join(torn) if torn else f"{run} has no checkpoint"
        return error("checkpoints", what, "nothing can be resumed or sampled: train anew")
    if torn:
        return warning(
            "checkpoints",
            f"damaged: {'; '.join(torn)}",
            f"{found.path.name} is whole and is used instead; delete the damaged one, and look at the disk",
        )
    return ok("checkpoints", f"{len(checkpoints(run))}, the newest ({found.path.name}) whole")
