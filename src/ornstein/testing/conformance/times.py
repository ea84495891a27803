"""At which times the suites ask a process."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.processes.base import Process


def inner_times(process: Process, n: int) -> Tensor:
    """``[n]`` times strictly inside (t_min, t_max), at no round number (a table of betas has its knots there)."""
    low, high = process.t_min, process.t_max
    return low + (high - low) * (torch.arange(n, dtype=torch.float64) + 0.41237) / n


def name(process: Process) -> str:
    """The process's class and, for a variance-preserving one, its schedule."""
    schedule = getattr(process, "schedule", None)
    return type(process).__name__ + (f"({type(schedule).__name__})" if schedule is not None else "")
