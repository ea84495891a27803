"""Did training stop at a number that is none?"""

from __future__ import annotations

from pathlib import Path

import torch

from ornstein.core.finding import Finding, error, ok
from ornstein.training.checkpoint import latest_checkpoint
from ornstein.training.failure import read_failure


def check(run: Path) -> Finding:
    """The engine stops before a step whose loss or gradient is not finite; weights are looked at as well."""
    failure = read_failure(run)
    found, _ = latest_checkpoint(run, ("model", "ema"))
    if found is not None:
        for part, tensors in found.parts.items():
            for name, value in tensors.items():
                if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                    return error(
                        "finite numbers",
                        f"{part} weights of {found.path.name} are not finite, first '{name}'",
                        "go back to an earlier checkpoint, and lower the learning rate",
                    )
    if failure is None:
        return ok("finite numbers", "losses and weights are finite")
    step, what = failure
    place = f"{found.path.name} is from before it" if found is not None else "no checkpoint is from before it"
    return error(
        "finite numbers",
        f"{what} at step {step}: training stopped before the update, and {place}",
        "lower lr or raise warmup, then resume; if it comes back at the same step, look for outliers in the data "
        "(ornstein doctor DATA); in bf16 or fp16, try precision=fp32",
    )
