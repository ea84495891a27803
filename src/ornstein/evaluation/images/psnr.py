r"""Peak signal-to-noise ratio: 10 log10(255^2 / mean (x - y)^2), in decibels."""

from __future__ import annotations

from torch import Tensor

from ornstein.evaluation.images.pairs import RANGE, pair


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Of each image over all its channels, ``[B]``; infinite for equal images."""
    a, b = pair(x, y)
    return 10 * (RANGE**2 / (a - b).square().mean((1, 2, 3))).log10()
