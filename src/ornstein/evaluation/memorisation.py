"""Copies of training data among samples, by nearest neighbours, calibrated with real data that was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.evaluation.pairwise import nearest, require_vectors

QUANTILE = 0.01
"""A sample counts as memorised when it is nearer to the training set than this share of unseen real data is."""


@dataclass(frozen=True)
class Memorisation:
    """``nearest_to_train``: median distance of a sample to its nearest training vector over that of unseen real data;
    well below 1 means copies. ``memorised``: the share of samples nearer than :data:`QUANTILE` of unseen real data; that
    quantile is what a model that copies nothing reaches. ``distance``, ``index``: of each sample's nearest, ``[N]``."""

    nearest_to_train: float
    memorised: float
    distance: Tensor
    index: Tensor

    def most_suspicious(self, count: int) -> list[tuple[int, int]]:
        """Pairs (sample, training item) at the smallest distances, nearest first: the ones to look at."""
        order = self.distance.argsort()[:count]
        return [(int(i), int(self.index[i])) for i in order]


def judge(mine: Tensor, index: Tensor, theirs: Tensor) -> Memorisation:
    """From distances to the nearest training vector: of samples ``[N]`` (with its index) and of unseen real data ``[M]``."""
    return Memorisation(
        float(mine.median() / theirs.median().clamp_min(1e-12)),
        float((mine < torch.quantile(theirs.double(), QUANTILE)).double().mean()),
        mine,
        index,
    )


def memorisation(samples: Tensor, unseen: Tensor, train: Tensor) -> Memorisation:
    """Of feature vectors ``[N, D]``, unseen real ones ``[M, D]`` and the training set's ``[T, D]``."""
    for name, x in (("samples", samples), ("reference", unseen), ("training set", train)):
        require_vectors(name, x)
    mine, index = (v[:, 0] for v in nearest(samples, train))
    return judge(mine, index, nearest(unseen, train)[0][:, 0])
