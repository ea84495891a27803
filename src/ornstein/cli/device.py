"""Where to compute."""

from __future__ import annotations

import os

import torch

from ornstein.core.errors import UsageError


def require_device(name: str) -> torch.device:
    """The device of that name, tried out: a wrong one is found before the work. ``cuda`` under torchrun: the process's own."""
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as e:
        reason = str(e).splitlines()[0]
        raise UsageError(f"device '{name}' cannot be used here: {reason}; use --device cpu") from e
    return device
