"""Area under the precision-recall curve as average precision: sum_k (R_k - R_{k-1}) P_k over falling thresholds.

No line is drawn between the points: it would be too hopeful (Davis & Goadrich 2006). A score that says nothing reaches the share
of positives, so state that beside the number.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.evaluation.detection.collection import pooled


def at_thresholds(scores: Tensor, yes: Tensor) -> tuple[Tensor, Tensor]:
    """True positives and all positives at each different score as the threshold, from the highest down, float64."""
    order = scores.argsort(descending=True)
    ordered = scores[order]
    last = torch.cat([(ordered[1:] != ordered[:-1]).nonzero().flatten(), torch.tensor([len(ordered) - 1])])
    return yes[order].double().cumsum(0)[last], (last + 1).double()


def auprc(scores: Tensor, truth: Tensor) -> float:
    """Of ``[N, ...]`` and labels of that shape; pixels of all images are pooled."""
    s, yes = pooled(scores, truth)
    hits, said = at_thresholds(s, yes)
    recall = hits / yes.sum()
    steps = torch.diff(recall, prepend=torch.zeros(1, dtype=recall.dtype))
    return float((steps * hits / said).sum())
