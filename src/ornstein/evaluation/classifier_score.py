r"""exp E_x KL(p(y|x) || p(y)), the "Inception score" when the classifier is Inception. Salimans et al. 2016."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.evaluation.pairwise import require_vectors


def classifier_score(logits: Tensor, splits: int = 1) -> float:
    """Of a classifier's logits ``[N, K]``: from 1 to K; the mean over ``splits`` parts in the order given (papers use 10).

    Each part estimates p(y) from its own samples, so more splits give smaller values: compare equal N and splits only.
    """
    if not 1 <= splits <= len(logits):
        raise UsageError(f"splits must lie in 1 .. {len(logits)}, got {splits}")
    require_vectors("logits", logits)
    scores = []
    for part in logits.double().chunk(splits):
        log_p = part.log_softmax(1)
        log_marginal = log_p.logsumexp(0) - torch.tensor(len(part)).log()
        scores.append((log_p.exp() * (log_p - log_marginal)).sum(1).mean().exp())
    return float(torch.stack(scores).mean())
