"""Scores and masks to be measured against labels and true masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.digests import digest_of


@final
@dataclass(frozen=True)
class ScoreSettings:
    """What metrics of scores depend on; those that a metric uses are part of its protocol."""

    threshold: float = 0.5
    """from which on a score says yes, of dice and iou"""
    seed: int = 0
    """of half-samples"""


@final
class Scores:
    """``[N]`` for N cases, or ``[N, ...]`` for N images or volumes: scores or masks as samples, 0 and 1 as the reference.

    Raises:
        DataError: nothing in it, NaN or infinity.
    """

    def __init__(self, x: Tensor):
        if x.ndim < 1 or not x.numel():
            raise DataError(f"scores are [N] or [N, ...] and not empty, got shape {tuple(x.shape)}")
        if not bool(torch.isfinite(x).all()):
            first = int((~torch.isfinite(x.double())).reshape(len(x), -1).any(1).nonzero()[0])
            raise DataError(f"the scores hold NaN or infinity, first in case {first}")
        self.x = x.double()

    @property
    def content_hash(self) -> str:
        return digest_of([self.x])

    @property
    def about(self) -> dict[str, Any]:
        return {"size": "x".join(map(str, self.x.shape[1:])) or "one score a case"}

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> Self:
        return type(self)(self.x[index])


def require_labels(samples: Scores, other: Scores, name: str) -> None:
    """Refuse another size, or a reference that is not 0 and 1.

    Raises:
        DataError: says which.
    """
    if samples.x.shape[1:] != other.x.shape[1:]:
        a, b = (tuple(s.x.shape[1:]) for s in (samples, other))
        raise DataError(f"the scores of each case have shape {a} and the {name} {b}; bring both to one size")
    labels_of(other.x)


def labels_of(truth: Tensor) -> Tensor:
    """0 and 1 as bool; anything else is refused."""
    if not bool(((truth == 0) | (truth == 1)).all()):
        values = truth.unique()
        shown = ", ".join(f"{v:g}" for v in values[:4].tolist()) + (", .." if len(values) > 4 else "")
        raise DataError(f"labels and true masks are 0 and 1, got {shown}; set a threshold or divide by 255 first")
    return truth == 1


def pooled(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """All cases, or all pixels of all images, as ``[N]``: scores float64, truth bool.

    Raises:
        DataError: other shapes, NaN, a truth that is not 0 and 1 or has one of them only.
    """
    if scores.shape != truth.shape:
        raise DataError(f"scores {tuple(scores.shape)} and labels {tuple(truth.shape)} are not of one shape")
    if not bool(torch.isfinite(scores).all()):
        raise DataError("the scores hold NaN or infinity")
    yes = labels_of(truth).flatten()
    if not 0 < int(yes.sum()) < len(yes):
        raise DataError("all labels are the same, so nothing can be ranked; give cases of both classes")
    return scores.double().flatten(), yes
