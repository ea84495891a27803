"""Small pictures made large by interpolation: the first guess of super-resolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def enlarged(y: Tensor, size: tuple[int, int], bound: float = 1.0) -> Tensor:
    """``[B, C, h, w]`` to ``[B, C, *size]``, bicubic (a = -0.75), edges repeated, clipped to [-bound, bound]: it overshoots."""
    return F.interpolate(y, size=size, mode="bicubic", align_corners=False).clamp(-bound, bound)
