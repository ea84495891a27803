"""Our alignment of pictures and captions beside scikit-learn's."""

from __future__ import annotations

import torch
from sklearn.metrics import top_k_accuracy_score
from sklearn.metrics.pairwise import cosine_similarity

from evaluation.trusted import Numbers, Row
from ornstein.evaluation.captions import alignment, retrieval


def of_alignment() -> tuple[Numbers, Numbers]:
    g = torch.Generator().manual_seed(0)
    image = torch.randn(40, 16, generator=g, dtype=torch.float64)
    text = image + 1.5 * torch.randn(40, 16, generator=g, dtype=torch.float64)
    theirs = cosine_similarity(image.numpy(), text.numpy())
    first = top_k_accuracy_score(range(40), theirs, k=1)
    return [*alignment(image, text).tolist(), retrieval(image, text)], [*theirs.diagonal(), first]


ROWS = (
    Row("caption alignment and retrieval", "scikit-learn `cosine_similarity`, `top_k_accuracy_score`", of_alignment),
)
