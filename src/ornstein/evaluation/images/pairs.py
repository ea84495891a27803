"""What every paired measure asks of its images."""

from __future__ import annotations

from torch import Tensor

from ornstein.core.errors import DataError

RANGE = 255.0
"""Largest pixel value minus smallest."""


def pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both as float64 ``[B, C, H, W]``; refused unless of one shape."""
    if x.ndim != 4 or x.shape != y.shape:
        raise DataError(
            f"paired measures compare images [B, C, H, W] of one shape, got {tuple(x.shape)} and {tuple(y.shape)}; "
            "bring both to one size and order"
        )
    return x.double(), y.double()
