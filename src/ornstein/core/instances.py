"""What is found in pictures: boxes, the kinds of things in them, and a mask for each from a tiny network of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.errors import DataError

MAPS = 8
"""Channels of the map that masks are made of, and of the layers that make them."""
FILTERS = MAPS * MAPS + MAPS + MAPS * MAPS + MAPS + MAPS + 1
"""153: weights and biases of three 1 x 1 convolutions, 8 -> 8 -> 8 -> 1."""


class Found(NamedTuple):
    """``N`` proposals in each of ``B`` pictures."""

    logits: Tensor
    """``[B, N, K]``: of each kind, on its own (no background)"""
    boxes: Tensor
    """``[B, N, 4]``: centre and size"""
    filters: Tensor
    """``[B, N, 153]``"""
    maps: Tensor
    """``[B, 8, h, w]``: one for all proposals of a picture"""

    def masks(self, size: tuple[int, int]) -> Tensor:
        """Logits ``[B, N, H, W]`` of every proposal's mask over the whole picture."""
        return mask_logits(self.filters, self.maps, size)


def mask_logits(filters: Tensor, maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Three 1 x 1 convolutions with weights ``filters [B, N, 153]`` over ``maps [B, 8, h, w]``, then enlarged: ``[B, N, H, W]``.

    Tian et al. 2020 (2003.05664), without the relative places, as Gu et al. 2022 have it.
    """
    m = MAPS
    b, n, _ = filters.shape
    w1, b1, w2, b2, w3, b3 = torch.split(filters, [m * m, m, m * m, m, m, 1], -1)
    y = maps.flatten(2)[:, None]  # [B, 1, 8, hw]
    y = F.relu(w1.reshape(b, n, m, m) @ y + b1[..., None])
    y = F.relu(w2.reshape(b, n, m, m) @ y + b2[..., None])
    y = (w3[..., None, :] @ y + b3[..., None]).reshape(b, n, *maps.shape[-2:])
    return F.interpolate(y, size=size, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Instances:
    """What one picture holds, best first: corners ``[n, 4]``, scores ``[n]``, kinds ``[n]``, masks ``[n, H, W]`` bool."""

    boxes: Tensor
    scores: Tensor
    kinds: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.boxes)


def check_instances(boxes: Tensor, kinds: Tensor, masks: Tensor, known: int, size: tuple[int, int]) -> None:
    """Refuse annotations that cannot be meant: ``boxes [B, M, 4]`` corners, ``kinds [B, M]`` (-1: none), ``masks [B, M, H, W]``.

    Raises:
        DataError: shapes that do not fit, boxes outside the picture or without area, kinds that are not known.
    """
    b, m = kinds.shape[0], kinds.shape[1]
    if tuple(boxes.shape) != (b, m, 4) or tuple(masks.shape) != (b, m, *size):
        raise DataError(
            f"{m} things in pictures of {size} need boxes {(b, m, 4)} and masks {(b, m, *size)}, got {tuple(boxes.shape)} and "
            f"{tuple(masks.shape)}"
        )
    there = kinds >= 0
    if bool((kinds >= known).any()):
        raise DataError(f"kind {int(kinds.max())} is out of range: there are 0 .. {known - 1}, and -1 for none")
    real = boxes[there]
    outside = ~((real >= 0) & (real <= 1)).all(-1)
    if bool(outside.any()):
        raise DataError(f"box {real[outside][0].tolist()} leaves the picture: corners lie in [0, 1] of its sides")
    flat = (real[:, 2:] <= real[:, :2]).any(-1)
    if bool(flat.any()):
        raise DataError(f"box {real[flat][0].tolist()} has no area: x1 < x2 and y1 < y2, as corners (x1, y1, x2, y2)")
