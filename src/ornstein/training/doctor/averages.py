"""Is the average near the weights that it averages?"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ornstein.core.finding import Finding, ok, warning
from ornstein.training.checkpoint import latest_checkpoint

FAR = 0.5
"""Relative distance. An average of late weights is within a few tenths; one that still remembers the initial weights is not."""


def relative_distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """|a - b| / |b| over the tensors of ``a`` together."""
    gap = sum(float((a[k].double() - b[k].double()).square().sum()) for k in a)
    size = sum(float(b[k].double().square().sum()) for k in a)
    return (gap / max(size, 1e-300)) ** 0.5


def check(run: Path) -> Finding:
    """The newest whole checkpoint's averaged and raw weights."""
    found, _ = latest_checkpoint(run, ("model", "ema"))
    if found is None or not found.parts.get("ema"):
        return ok("average", "there is none")
    far = relative_distance(found.parts["ema"], found.parts["model"])
    if far > FAR:
        return warning(
            "average",
            f"the averaged weights of {found.path.name} are {far:.2f} of their size away from the raw ones",
            "samples come from the average: shorten ema_half_life or train longer, so that it forgets the beginning; "
            "if training itself is unsteady, lower lr",
        )
    return ok("average", f"the averaged weights are within {far:.2f} of their size of the raw ones")
