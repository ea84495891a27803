"""Boxes, as corners ``(x1, y1, x2, y2)`` or centre and size ``(x, y, w, h)``, in units of the picture's sides: ``[..., 4]``."""

from __future__ import annotations

import torch
from torch import Tensor


def corners(boxes: Tensor) -> Tensor:
    """Of centre and size."""
    at, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([at - size / 2, at + size / 2], -1)


def centred(boxes: Tensor) -> Tensor:
    """Centre and size, of corners."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)


def area(boxes: Tensor) -> Tensor:
    """Of corners."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp_min(0)
    return size[..., 0] * size[..., 1]


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Intersection over union of corners ``a`` and ``b`` that broadcast, their union, and the box around both."""
    inside = torch.cat([torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])], -1)
    around = torch.cat([torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])], -1)
    shared = area(inside)
    union = area(a) + area(b) - shared
    return shared / union.clamp_min(1e-9), union, around


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of corners that broadcast; of all pairs with ``iou(a[:, None], b[None])``."""
    return overlap(a, b)[0]


def giou(a: Tensor, b: Tensor) -> Tensor:
    """IoU - (share of the box around both that neither covers), in [-1, 1]. Rezatofighi et al. 2019 (1902.09630)."""
    both, union, around = overlap(a, b)
    whole = area(around).clamp_min(1e-9)
    return both - (whole - union) / whole


def suppress(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Indices of corners ``[N, 4]`` by falling score, without those whose IoU with a kept one exceeds ``threshold``."""
    order = scores.argsort(descending=True)
    table = iou(boxes[:, None], boxes[None])
    kept: list[int] = []
    for i in order.tolist():
        if not kept or float(table[i, kept].max()) <= threshold:
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)
