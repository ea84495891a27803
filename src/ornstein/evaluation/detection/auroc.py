"""Area under the receiver operating characteristic: P(score of a positive > score of a negative) + P(tie) / 2."""

from __future__ import annotations

from torch import Tensor

from ornstein.evaluation.detection.collection import pooled


def auroc(scores: Tensor, truth: Tensor) -> float:
    """Of ``[N, ...]`` and labels of that shape, from ranks (Mann-Whitney); pixels of all images are pooled."""
    s, yes = pooled(scores, truth)
    values, place = s.unique(return_inverse=True)
    counts = place.bincount(minlength=len(values)).double()
    mean_rank = counts.cumsum(0) - (counts - 1) / 2
    positives, total = int(yes.sum()), len(s)
    wins = float(mean_rank[place[yes]].sum()) - positives * (positives + 1) / 2
    return wins / (positives * (total - positives))
