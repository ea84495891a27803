"""The training images nearest to samples, and whether a sample is a copy of one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.copies import RATIO, copies
from ornstein.evaluation.memorisation import Memorisation, memorisation
from ornstein.evaluation.pairwise import nearest


@dataclass(frozen=True)
class Neighbours:
    """``index`` and ``distance [n, k]``, nearest first; ``copied [n]`` bool: the nearest is nearer than a third of the second.

    ``test``: the test against unseen data, where such were given.
    """

    index: Tensor
    distance: Tensor
    copied: Tensor
    test: Memorisation | None

    @property
    def ratio(self) -> Tensor:
        """The nearest distance over the second, ``[n]``: a copy's is near 0, below 1/3 counts as one."""
        return self.distance[:, 0] / self.distance[:, 1].clamp_min(1e-12)


def neighbours(samples: Tensor, train: Tensor, k: int = 4, unseen: Tensor | None = None) -> Neighbours:
    """Of samples ``[n, ...]`` among training data ``[T, ...]``, by root mean square distance of all their numbers.

    Bytes or floats, all alike. ``unseen [M, ...]``, real data that were not trained on, calibrate the test of
    :func:`ornstein.evaluation.memorisation.memorisation`.

    Raises:
        UsageError: k below 2, or above the training data.
        DataError: samples and training data of different shapes or types.
    """
    if not 2 <= k <= len(train):
        raise UsageError(f"k lies in 2 .. {len(train)}, the number of training images, got {k}")
    rows = [_rows(name, x, train) for name, x in (("samples", samples), ("training data", train))]
    distance, index = nearest(rows[0], rows[1], k=k)
    found = copies(rows[0], rows[1])
    test = None if unseen is None else memorisation(rows[0], _rows("unseen data", unseen, train), rows[1])
    return Neighbours(index, distance / rows[0].shape[1] ** 0.5, found.memorised, test)


def verdict(found: Neighbours) -> str:
    """What was found, in a sentence."""
    total, copied = len(found.copied), int(found.copied.sum())
    if copied:
        return f"{copied} of {total} are copies: nearer to one training image than {RATIO:.2f} of the way to the next"
    typical = float(found.ratio.median())
    return f"none of {total} is a copy: the nearest training image is at {typical:.2f} of the second's distance"


def _rows(name: str, x: Tensor, like: Tensor) -> Tensor:
    """``[n, D]`` floats; refused unless each is of the shape and type of ``like``'s."""
    if x.shape[1:] != like.shape[1:] or x.dtype != like.dtype:
        raise DataError(
            f"the {name} are {x.dtype} of {tuple(x.shape[1:])}, the training data {like.dtype} of {tuple(like.shape[1:])}"
        )
    return x.flatten(1).to(torch.float32)
