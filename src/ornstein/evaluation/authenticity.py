"""Authenticity: the share of samples that are not closer to a training point than its real neighbours are.

Alaa et al. 2022, 2102.08921, section 4: a sample is unauthentic when it is nearer to its nearest training point than that
point's own nearest neighbour in the training set. A model that draws from the data's law reaches 1/3 on a line and, in many
dimensions, nearly 1/2.
"""

from __future__ import annotations

from torch import Tensor

from ornstein.evaluation.pairwise import nearest, require_vectors


def authenticity(samples: Tensor, train: Tensor) -> float:
    """Of feature vectors ``[N, D]`` against the training set's ``[T, D]``; copies give 0."""
    require_vectors("samples", samples)
    require_vectors("training set", train, least=2)
    distance, index = (v[:, 0] for v in nearest(samples, train))
    return share(distance, index, between(train))


def between(train: Tensor) -> Tensor:
    """Distance of each training vector to its nearest other one, ``[T]``."""
    return nearest(train, train, same=True)[0][:, 0]


def share(distance: Tensor, index: Tensor, apart: Tensor) -> float:
    """From each sample's distance to its nearest training vector, that vector's index, and :func:`between`."""
    return float((distance > apart[index]).double().mean())
