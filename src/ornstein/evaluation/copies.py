"""Samples that are copies of training images, told without unseen data: by the distance to the next training image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ornstein.evaluation.pairwise import nearest, require_vectors

RATIO = 1 / 3


@dataclass(frozen=True)
class Copies:
    """For each sample: its nearest training vector, the distance to it, and the distance to the second nearest, ``[N]``."""

    index: Tensor
    first: Tensor
    second: Tensor

    @property
    def memorised(self) -> Tensor:
        """``[N]`` bool: the nearest is nearer than a third of the second. Yoon et al. 2023, *Diffusion probabilistic
        models generalize when they fail to memorize*."""
        return self.first < RATIO * self.second


def copies(samples: Tensor, train: Tensor) -> Copies:
    """Of vectors ``[N, D]`` against the training set's ``[T, D]``, which must all be different.

    Any space will do, pixels too; a copy that is shifted or mirrored is seen only in a space where that is no distance.
    """
    require_vectors("samples", samples)
    require_vectors("training set", train, least=2)
    distance, index = nearest(samples, train, k=2)
    return Copies(index[:, 0], distance[:, 0], distance[:, 1])
