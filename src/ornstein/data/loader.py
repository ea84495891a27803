"""A stream of batches whose every batch is a pure function of the seed and its number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import final

import numpy as np

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.data.dataset import Images

_ORDER, _FLIP = 0, 1  # independent random streams of one seed


@final
class Loader:
    """Batches without end, in an order that depends on ``(seed, epoch)`` only.

    Epochs follow each other without a gap: a batch may hold the end of one and the start of the next, and each epoch
    shows every image once. ``batch`` counts the images over all processes; process ``rank`` of ``world`` gets its
    equal part, and the parts in order of rank are the batch of one process. ``flip`` mirrors each image left to
    right with probability 1/2, as a function of ``(seed, step)``.
    """

    def __init__(self, images: Images, batch: int, seed: int, flip: bool = False, rank: int = 0, world: int = 1):
        if batch < 1:
            raise UsageError(f"batch must be at least 1, got {batch}")
        if seed < 0:
            raise UsageError(f"seed must be >= 0, got {seed}")
        if not 0 <= rank < world:
            raise UsageError(f"rank must lie in 0 .. {world - 1}, got {rank}")
        if batch % world:
            raise UsageError(
                f"a batch of {batch} cannot be divided among {world} processes; take a multiple of {world}"
            )
        if len(images) < batch:
            raise DataError(
                f"'{images.name}' has {len(images)} images, fewer than a batch of {batch}; "
                f"lower the batch to {len(images)} or less (batch={len(images)} among the recipe's settings), or add images"
            )
        self.images, self.batch, self.seed, self.flip = images, batch, seed, flip
        self.rank, self.world = rank, world
        self.step = 0
        self._orders: dict[int, np.ndarray] = {}

    @property
    def epoch(self) -> float:
        """How many times the images have been shown so far."""
        return self.step * self.batch / len(self.images)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            batch = self.batch_at(self.step)
            self.step += 1  # before the yield: a state saved while this batch is in use goes on with the next
            yield batch

    def batch_at(self, step: int) -> Batch:
        """This process's part of batch number ``step``; does not move the stream."""
        share = self.batch // self.world
        mine = slice(self.rank * share, (self.rank + 1) * share)
        start = step * self.batch + mine.start
        epoch, place = divmod(start, len(self.images))
        index = self._order(epoch)[place : place + share]
        if len(index) < share:  # a batch is no larger than the set, so it meets two epochs at most
            index = np.concatenate([index, self._order(epoch + 1)[: share - len(index)]])
        batch = self.images[index]
        if self.flip:
            coins = self._raw(_FLIP, step, self.batch) >> np.uint64(63)
            rows = np.flatnonzero(coins[mine])
            x = batch.x.numpy()
            x[rows] = x[rows, ..., ::-1]
        return batch

    def state(self) -> dict[str, int]:
        """Where the stream is, and what it runs over; small integers only."""
        return {
            "step": self.step,
            "seed": self.seed,
            "batch": self.batch,
            "flip": int(self.flip),
            "images": len(self.images),
            "content": int(self.images.content_hash[:12], 16),
        }

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on with exactly the batch that would have come next; on another number of processes too."""
        here = self.state()
        if set(state) != set(here):
            raise DataError(
                f"a loader's state has the fields {sorted(here)}, got {sorted(state)}; start the stream anew"
            )
        changed = [f"{k} was {state[k]}, is {here[k]}" for k in here if k != "step" and state[k] != here[k]]
        if changed:
            raise DataError(
                f"the stream over '{self.images.name}' cannot go on where it was: {'; '.join(changed)}; "
                "give the same data, batch, seed and flip as before, or start a new run"
            )
        self.step = int(state["step"])

    def _order(self, epoch: int) -> np.ndarray:
        """The permutation of an epoch; the two latest are kept."""
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = np.argsort(self._raw(_ORDER, epoch, len(self.images)), kind="stable")
        return self._orders[epoch]

    def _raw(self, stream: int, number: int, count: int) -> np.ndarray:
        """``count`` random uint64. Raw bits of a bit generator are what NumPy keeps the same in all its versions."""
        return np.random.Philox(np.random.SeedSequence(self.seed, spawn_key=(stream, number))).random_raw(count)
