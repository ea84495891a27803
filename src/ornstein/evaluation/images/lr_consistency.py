"""Consistency of super-resolved images with their input: the mean squared error after reduction. Saharia et al. 2021 (SR3)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.images.pairs import RANGE, pair


def reduce(x: Tensor, factor: int) -> Tensor:
    """Antialiased bicubic reduction by a whole factor."""
    if factor < 2:
        raise UsageError(f"factor must be at least 2, got {factor}")
    height, width = x.shape[-2:]
    if height % factor or width % factor:
        raise DataError(
            f"images of {height} x {width} cannot be reduced {factor} times; crop them to a multiple of {factor}"
        )
    return F.interpolate(x, (height // factor, width // factor), mode="bicubic", antialias=True, align_corners=False)


def lr_consistency(x: Tensor, y: Tensor, factor: int) -> Tensor:
    """MSE in units of the pixel range between ``reduce(x)`` and ``y``, ``[B]``: ``y`` low-resolution, or reduced likewise."""
    small = reduce(x.double(), factor)
    a, b = pair(small, y.double() if y.shape[-2:] == small.shape[-2:] else reduce(y.double(), factor))
    return ((a - b) / RANGE).square().mean((1, 2, 3))
