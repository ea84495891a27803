"""Dice coefficient 2 |A and B| / (|A| + |B|) and intersection over union |A and B| / |A or B| of masks."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.detection.auprc import at_thresholds
from ornstein.evaluation.detection.collection import labels_of, pooled


def overlaps(masks: Tensor, truth: Tensor) -> Tensor:
    """``[N, 3]``: |A and B|, |A|, |B| of each image, from bool or 0 and 1 ``[N, ...]``."""
    if masks.shape != truth.shape:
        raise DataError(f"masks {tuple(masks.shape)} and true masks {tuple(truth.shape)} are not of one shape")
    a, b = (labels_of(m.double()).reshape(len(m), -1) for m in (masks, truth))
    return torch.stack([(a & b).sum(1), a.sum(1), b.sum(1)], 1).double()


def dice(masks: Tensor, truth: Tensor) -> Tensor:
    """Of each image, ``[N]``; 1 where both masks are empty, for nothing was there and nothing was said."""
    both, a, b = overlaps(masks, truth).T
    return torch.where(a + b > 0, 2 * both / (a + b).clamp_min(1), 1.0)


def iou(masks: Tensor, truth: Tensor) -> Tensor:
    """Of each image, ``[N]``: dice / (2 - dice)."""
    found = dice(masks, truth)
    return found / (2 - found)


def best_dice(scores: Tensor, truth: Tensor) -> float:
    """The pooled Dice at the threshold where it is largest. That threshold is chosen with the truth in hand: an upper bound of
    what a threshold fixed beforehand reaches, often printed as ⌈Dice⌉."""
    s, yes = pooled(scores, truth)
    hits, said = at_thresholds(s, yes)
    return float((2 * hits / (said + yes.sum())).max())
