"""Small real data as vectors, for checks whose networks are perceptrons."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Scale
from ornstein.core.batch import Batch
from ornstein.core.rng import Stream
from ornstein.data import open_data


@cache
def digits(split: str, size: int = 8) -> Tensor:
    """The digits of a split as rows of ``size * size`` values in [-1, 1]."""
    images = open_data("digits", size=size, split=split)
    return Scale().encode(torch.from_numpy(images.x), Stream(0)).flatten(1)


@final
class Rows:
    """An endless stream of batches drawn with replacement from the rows of a tensor."""

    def __init__(self, x: Tensor, batch: int, seed: int):
        self.x, self.batch, self.rng, self.given = x, batch, Stream(seed), 0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            self.given += 1
            yield Batch(self.x[self.rng.integers(len(self.x), (self.batch,))])

    def state(self) -> dict[str, int]:
        """How many batches were given."""
        return {"given": self.given}

    def restore(self, state: dict[str, int]) -> None:
        """Go on after so many batches."""
        while self.given < state["given"]:
            next(iter(self))
