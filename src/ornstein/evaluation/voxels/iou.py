"""Intersection over union of volumes (Jaccard's index)."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import DataError


def iou(a: Tensor, b: Tensor) -> Tensor:
    """|A and B| / |A or B| of what is occupied in each pair ``[N, ...]``, ``[N]``; two empty volumes agree: 1."""
    if a.shape != b.shape:
        raise DataError(f"volumes of {tuple(a.shape)} and {tuple(b.shape)} have no intersection over union")
    p, q = (x.flatten(1) > 0 for x in (a, b))
    both, either = (p & q).sum(1), (p | q).sum(1)
    return torch.where(either > 0, both / either.clamp_min(1), torch.ones(())).double()


def class_iou(a: Tensor, b: Tensor) -> Tensor:
    """Mean over the classes above 0 that either volume has of the class's own ratio, ``[N]``; 1 where neither has any."""
    if a.shape != b.shape:
        raise DataError(f"volumes of {tuple(a.shape)} and {tuple(b.shape)} have no intersection over union")
    out = []
    for p, q in zip(a, b, strict=True):
        classes = torch.cat([p.flatten(), q.flatten()]).unique()
        found = [((p == c) & (q == c)).sum() / ((p == c) | (q == c)).sum() for c in classes[classes > 0]]
        out.append(torch.stack(found).double().mean() if found else torch.ones((), dtype=torch.float64))
    return torch.stack(out)
