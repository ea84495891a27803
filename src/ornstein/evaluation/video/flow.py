"""Optical flow: where each pixel of a frame lies in the next one, by block matching or by TV-L1."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.errors import DataError, UsageError

Flow = Callable[[Tensor, Tensor], Tensor]
"""Two grey frames ``[H, W]`` -> displacement ``[2, H, W]`` (rows, columns): a(p) is seen at b(p + flow(p))."""


def block_flow(a: Tensor, b: Tensor, block: int = 8, radius: int = 4) -> Tensor:
    """For the block around each pixel the whole displacement with the least sum of squared differences, ``[2, H, W]``.

    Every displacement of up to ``radius`` is tried; of equals the shortest one wins. Exact for shifts by whole pixels.

    Raises:
        DataError: frames that are not larger than the radius.
    """
    height, width = a.shape
    if min(height, width) <= radius:
        raise DataError(f"frames of {height} x {width} are too small for displacements of {radius} pixels")
    steps = range(-radius, radius + 1)
    shifts = sorted(((dy, dx) for dy in steps for dx in steps), key=lambda s: (s[0] ** 2 + s[1] ** 2, s))
    padded = F.pad(b[None, None], (radius,) * 4, mode="replicate")[0, 0]
    best = torch.full_like(a, torch.inf)
    flow = torch.zeros(2, height, width, dtype=a.dtype)
    side = block + 1 - block % 2  # odd, so that the block has a middle
    for dy, dx in shifts:
        moved = padded[radius + dy : radius + dy + height, radius + dx : radius + dx + width]
        squared = (a - moved).square()[None, None]
        cost = F.avg_pool2d(F.pad(squared, (side // 2,) * 4, mode="replicate"), side, 1)[0, 0]
        better = cost < best - 1e-12
        best = torch.where(better, cost, best)
        flow[0][better], flow[1][better] = dy, dx
    return flow


def tvl1_flow(a: Tensor, b: Tensor) -> Tensor:
    """TV-L1 (Zach et al. 2007) of scikit-image: displacements of fractions of a pixel, ``[2, H, W]``."""
    try:
        from skimage.registration import optical_flow_tvl1
    except ImportError as e:
        raise UsageError("flow=tvl1 needs scikit-image: pip install 'ornstein[video]'; or take flow=block") from e
    return torch.from_numpy(optical_flow_tvl1(a.numpy(), b.numpy()))


def warp_back(frame: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """``frame [C, H, W]`` read at p + flow(p) by bilinear interpolation, and which p are read inside the frame, ``[H, W]``."""
    height, width = frame.shape[-2:]
    rows = torch.arange(height, dtype=flow.dtype)[:, None] + flow[0]
    columns = torch.arange(width, dtype=flow.dtype) + flow[1]
    inside = (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
    y0 = rows.clamp(0, height - 1).floor().long().clamp(max=max(height - 2, 0))
    x0 = columns.clamp(0, width - 1).floor().long().clamp(max=max(width - 2, 0))
    y1, x1 = (y0 + 1).clamp(max=height - 1), (x0 + 1).clamp(max=width - 1)
    v, u = rows.clamp(0, height - 1) - y0, columns.clamp(0, width - 1) - x0
    top = frame[:, y0, x0] * (1 - u) + frame[:, y0, x1] * u
    bottom = frame[:, y1, x0] * (1 - u) + frame[:, y1, x1] * u
    return top * (1 - v) + bottom * v, inside
