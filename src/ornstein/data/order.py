"""The order in which a stream shows its samples: a pure function of the seed and the place in the stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from ornstein.core.errors import UsageError


def raw(seed: int, stream: int, number: int, count: int) -> np.ndarray:
    """``count`` random uint64. Raw bits of a bit generator are what NumPy keeps the same in all its versions."""
    return np.random.Philox(np.random.SeedSequence(seed, spawn_key=(stream, number))).random_raw(count)


@final
class Order:
    """Epochs without a gap between them, each a permutation of ``0 .. n - 1`` that depends on ``(seed, stream, epoch)``.

    With ``blocks`` (sizes that add up to n, such as the samples of each file) an epoch goes through the blocks in random
    order, ``window`` blocks at a time, and mixes the samples of those: a stream then reads from few files at once.
    """

    def __init__(self, n: int, seed: int, stream: int, blocks: Sequence[int] = (), window: int = 0):
        if blocks and sum(blocks) != n:
            raise UsageError(f"blocks of {sum(blocks)} samples cannot make up {n}")
        if blocks and window < 1:
            raise UsageError(f"the window must be at least 1 block, got {window}")
        self.n, self.seed, self.stream = n, seed, stream
        self.blocks, self.window = np.asarray(blocks, dtype=np.int64), window
        self._kept: dict[int, np.ndarray] = {}

    def rows(self, start: int, count: int) -> np.ndarray:
        """The samples at the places ``start .. start + count - 1`` of the endless stream."""
        parts = []
        while count > 0:
            epoch, place = divmod(start, self.n)
            part = self.epoch(epoch)[place : place + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def epoch(self, number: int) -> np.ndarray:
        """The permutation of an epoch; the two latest are kept."""
        if number not in self._kept:
            self._kept = {e: order for e, order in self._kept.items() if e == number - 1}
            self._kept[number] = self._shuffled(number)
        return self._kept[number]

    def _shuffled(self, number: int) -> np.ndarray:
        if not len(self.blocks):
            return np.argsort(raw(self.seed, self.stream, number, self.n), kind="stable")
        coins = raw(self.seed, self.stream, number, len(self.blocks) + self.n)
        blocks = np.argsort(coins[: len(self.blocks)], kind="stable")
        turn = np.empty(len(blocks), dtype=np.int64)  # when each block's window comes
        turn[blocks] = np.arange(len(blocks)) // self.window
        return np.lexsort((coins[len(self.blocks) :], np.repeat(turn, self.blocks)))
