"""Points of the plane of which few belong to a second mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import torch

from ornstein.core.batch import Batch
from ornstein.core.rng import Stream

RARE = 0.05
STD = 0.3
MEANS = torch.tensor([[-1.5, 0.0], [1.5, 0.0]], dtype=torch.float64)
"""Of the common and of the rare mode."""


@final
class RarePoints:
    """An endless stream: N((-1.5, 0), 0.3^2) with mass 0.95, N((1.5, 0), 0.3^2) with the rest."""

    def __init__(self, batch: int, seed: int):
        self.batch, self.rng, self.given = batch, Stream(seed), 0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            self.given += 1
            side = torch.where(self.rng.uniform((self.batch,)) < RARE, 1.5, -1.5)
            x = 0.3 * self.rng.normal((self.batch, 2))
            x[:, 0] += side
            yield Batch(x)

    def state(self) -> dict[str, int]:
        """How many batches were given."""
        return {"given": self.given}

    def restore(self, state: dict[str, int]) -> None:
        """Go on after so many batches."""
        while self.given < state["given"]:
            next(iter(self))
