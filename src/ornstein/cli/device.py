"""Where to compute."""

from __future__ import annotations

import torch

from ornstein.core.errors import UsageError


def require_device(name: str) -> torch.device:
    """The device of that name, tried out: a wrong one is found before the work."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as e:
        reason = str(e).splitlines()[0]
        raise UsageError(f"device '{name}' cannot be used here: {reason}; use --device cpu") from e
    return device
