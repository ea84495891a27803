"""How alike samples are to one another: the mean MS-SSIM of pairs. Odena et al. 2017, 1610.09585, section 4.2."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.evaluation.images.ssim import ms_ssim


def neighbours_alike(x: Tensor) -> Tensor:
    """MS-SSIM of images 2i and 2i + 1 in row 2i, ``[B]``; NaN elsewhere, so that each pair counts once.

    Samples are independent, so neighbours are random pairs. The paper pairs within a class: give one class for that.
    """
    out = torch.full((len(x),), torch.nan, dtype=torch.float64)
    pairs = len(x) // 2
    if pairs:
        out[: 2 * pairs : 2] = ms_ssim(x[: 2 * pairs : 2], x[1 : 2 * pairs : 2])
    return out
