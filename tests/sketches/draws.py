"""An endless stream of fresh draws from a known law, for training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic

from ornstein.core.batch import Batch
from ornstein.core.rng import Random, Stream
from ornstein.core.state import X


class Draws(Generic[X]):
    """Batch number k is a function of k alone, so a position is one number."""

    def __init__(self, draw: Callable[[Random], X]):
        self.draw, self.step = draw, 0

    def __iter__(self) -> Iterator[Batch[X]]:
        while True:
            self.step += 1
            yield Batch(self.draw(Stream(self.step)))

    def state(self) -> dict[str, int]:
        """Where it is."""
        return {"step": self.step}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.step = state["step"]
