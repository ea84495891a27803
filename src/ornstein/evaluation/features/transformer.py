"""What the two vision transformers share: how images come in, and attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 224
HEAD = 64
"""Channels of a head, in every published size of both."""


def prepare(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...], crop: bool, side: int = SIZE) -> Tensor:
    """uint8 -> ``side`` x ``side`` (224) by antialiased bicubic interpolation, normalised per channel; grey is repeated.

    ``crop``: the shorter side becomes ``side`` and the middle is taken; else the whole image is deformed into the square.
    """
    y = x.float().expand(-1, 3, -1, -1) if x.shape[1] == 1 else x.float()
    height, width = y.shape[-2:]
    short = min(height, width)
    size = (round(side * height / short), round(side * width / short)) if crop else (side, side)
    if (height, width) != size:
        y = F.interpolate(y, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    y = y[..., top : top + side, left : left + side] / 255
    return (y - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def attend(qkv: Tensor) -> Tensor:
    """``[B, T, 3 D]`` (queries, keys, values side by side) -> ``[B, T, D]``."""
    b, t, d = qkv.shape
    q, k, v = qkv.reshape(b, t, 3, d // 3 // HEAD, HEAD).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d // 3)


def depth_of(names: list[str], prefix: str) -> int:
    """How many blocks a state dict has: names begin with ``prefix`` and a number."""
    numbers = {int(n.removeprefix(prefix).split(".")[0]) for n in names if n.startswith(prefix)}
    return max(numbers, default=-1) + 1
