"""A stream of batches whose every batch is a pure function of the seed and its number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, final

import numpy as np

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.data.changes import since
from ornstein.data.dataset import Dataset, Table
from ornstein.data.order import Order, raw

_ORDER, _FLIP, _CYCLE, _AUGMENT = 0, 1, 2, 3  # independent random streams of one seed


class Augment(Protocol):
    """A random change of a batch, made of the random bits that the stream hands it and of nothing else."""

    @property
    def draws(self) -> int:
        """uint64 that one sample takes."""

    def apply(self, batch: Batch, bits: np.ndarray) -> Batch:
        """The batch, changed; ``bits [B, draws]``."""

    def fingerprint(self) -> int:
        """A number below 2^48 that differs where the change does."""


@final
class Loader:
    """Batches without end, in an order that depends on ``(seed, epoch)`` only.

    Epochs follow each other without a gap: a batch may hold the end of one and the start of the next, and each epoch
    shows every sample once. ``batch`` counts the samples over all processes; process ``rank`` of ``world`` gets its
    equal part, and the parts in order of rank are the batch of one process. ``flip`` mirrors each image left to
    right with probability 1/2, and ``augment`` changes it further, both as functions of ``(seed, step, place in the
    batch)``. ``workers`` threads prepare batches ahead; the batches are the same with any number of them. Data of
    ``blocks`` (shards) are shuffled block by block, see :class:`Order`.
    """

    def __init__(
        self,
        images: Dataset,
        batch: int,
        seed: int,
        flip: bool = False,
        rank: int = 0,
        world: int = 1,
        augment: Augment | None = None,
        workers: int = 0,
    ):
        check_batch(batch, seed, rank, world)
        if workers < 0:
            raise UsageError(f"workers must be at least 0, got {workers}")
        if len(images) < batch:
            kind = getattr(images, "kind", "images")
            what = "images" if kind == "images" else "windows" if kind == "windows" else "samples"
            raise DataError(
                f"'{images.name}' has {len(images)} {what}, fewer than a batch of {batch}; "
                f"lower the batch to {len(images)} or less (batch={len(images)} among the recipe's settings), or add "
                f"{'rows' if what == 'windows' else what}"
            )
        if flip and getattr(images, "kind", "images") != "images":
            raise UsageError(f"'{images.name}' are no images and cannot be mirrored left to right; leave out flip")
        self.images, self.batch, self.seed, self.flip = images, batch, seed, flip
        self.rank, self.world, self.augment, self.workers = rank, world, augment, workers
        self.step = 0
        self._order = Order(
            len(images), seed, _ORDER, getattr(images, "blocks", ()), window=getattr(images, "window", 0)
        )

    @property
    def epoch(self) -> float:
        """How many times the images have been shown so far."""
        return self.step * self.batch / len(self.images)

    def __iter__(self) -> Iterator[Batch]:
        if self.workers:
            yield from self._ahead()
        while True:
            batch = self.batch_at(self.step)
            self.step += 1  # before the yield: a state saved while this batch is in use goes on with the next
            yield batch

    def _ahead(self) -> Iterator[Batch]:
        """The same batches, prepared by threads while the ones before are in use."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="ornstein-data") as pool:
            coming: deque[Future[Batch]] = deque()
            next_up = -1
            try:
                while True:
                    if next_up != self.step:  # at the start, and where the stream was restored elsewhere meanwhile
                        coming.clear()
                        next_up = self.step
                    while len(coming) <= self.workers:
                        coming.append(pool.submit(self.batch_at, next_up + len(coming)))
                    batch = coming.popleft().result()
                    next_up = self.step = self.step + 1
                    yield batch
            finally:
                for future in coming:
                    future.cancel()

    def batch_at(self, step: int) -> Batch:
        """This process's part of batch number ``step``; does not move the stream."""
        share = self.batch // self.world
        mine = slice(self.rank * share, (self.rank + 1) * share)
        return self._changed(self.images[self.rows_at(step)], step, mine)

    def rows_at(self, step: int) -> np.ndarray:
        """Which samples make up this process's part of batch number ``step``."""
        share = self.batch // self.world
        return self._order.rows(step * self.batch + self.rank * share, share)

    def _changed(self, batch: Batch, step: int, mine: slice) -> Batch:
        if self.flip:
            coins = raw(self.seed, _FLIP, step, self.batch) >> np.uint64(63)
            rows = np.flatnonzero(coins[mine])
            x = batch.x.numpy()
            x[rows] = x[rows, ..., ::-1]
        if self.augment is not None:
            bits = raw(self.seed, _AUGMENT, step, self.batch * self.augment.draws).reshape(self.batch, -1)
            batch = self.augment.apply(batch, bits[mine])
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
            **({} if self.augment is None else {"augment": self.augment.fingerprint()}),
        }

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on with exactly the batch that would have come next; on another number of processes too."""
        self.step = restored_step(state, self.state(), self.images.name, self.images)


def check_batch(batch: int, seed: int, rank: int, world: int) -> None:
    """Refuse a batch, a seed or a share that cannot be meant."""
    if batch < 1:
        raise UsageError(f"batch must be at least 1, got {batch}")
    if seed < 0:
        raise UsageError(f"seed must be >= 0, got {seed}")
    if not 0 <= rank < world:
        raise UsageError(f"rank must lie in 0 .. {world - 1}, got {rank}")
    if batch % world:
        raise UsageError(f"a batch of {batch} cannot be divided among {world} processes; take a multiple of {world}")


def restored_step(state: Mapping[str, int], here: Mapping[str, int], name: str, data: object) -> int:
    """The step of a saved state, if it is of the same stream as ``here``; else what is different about it."""
    optional = {"augment"}
    if set(state) - optional != set(here) - optional:
        raise DataError(f"a loader's state has the fields {sorted(here)}, got {sorted(state)}; start the stream anew")
    changed = [
        f"{k} was {state.get(k, 'none')}, is {here.get(k, 'none')}"
        for k in sorted({*here, *state} - {"step", "content"}, key=[*here, *state].index)
        if state.get(k) != here.get(k)
    ]
    if state["content"] != here["content"]:
        known = since(f"{state['content']:012x}", data) if isinstance(data, Table) else None
        gone = "the earlier content is not in the cache any more, so what changed cannot be listed"
        changed.append(f"the content differs: {known or gone}")
    if changed:
        raise DataError(
            f"the stream over '{name}' cannot go on where it was: {'; '.join(changed)}; "
            "give the same data, batch, seed, flip and augmentation as before, or start a new run"
        )
    return int(state["step"])
