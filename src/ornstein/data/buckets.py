"""Aspect-ratio buckets: pictures keep about their proportions, and every batch has one shape."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.data.dataset import Dataset, Images
from ornstein.data.decode import Unreadable, size_of
from ornstein.data.decoded import decode_once
from ornstein.data.loader import Augment, Loader, check_batch, restored_step
from ornstein.data.order import raw
from ornstein.data.pictures import Collection

_CYCLE = 2  # a random stream of its own beside those of the loader


def bucket_shapes(side: int, multiple: int = 8, ratio: float = 2.0) -> list[tuple[int, int]]:
    """Shapes (height, width) of about ``side``^2 pixels, each a multiple, no longer than ``ratio`` times their width.

    The widest shape that fits goes with each height, so that no shape has more pixels than the square.
    """
    if side < multiple or multiple < 1 or side % multiple:
        raise UsageError(f"side must be a multiple of {multiple}, got {side}")
    if ratio < 1:
        raise UsageError(f"the ratio must be at least 1, got {ratio:g}")
    shapes = []
    for height in range(multiple, int(side * ratio) + 1, multiple):
        width = side * side // height // multiple * multiple
        if width and max(height / width, width / height) <= ratio:
            shapes.append((height, width))
    return shapes


def nearest_shape(size: tuple[int, int], shapes: Sequence[tuple[int, int]]) -> int:
    """Which shape a picture (height, width) loses least to: the nearest proportions, as a ratio of ratios."""
    given = np.log(size[0] / size[1])
    return int(np.argmin([abs(np.log(h / w) - given) for h, w in shapes]))


def read_buckets(
    collection: Collection,
    side: int,
    multiple: int = 8,
    ratio: float = 2.0,
    channels: int = 3,
    strict: bool = False,
    at_least: int = 1,
) -> list[Images]:
    """The pictures of a collection (``folder_pictures(path)``), sorted into sets of one shape each, decoded once.

    A bucket of fewer than ``at_least`` pictures (a batch, say) gives them to the nearest of the others. Only the heads of
    the files are read for sorting.
    """
    shapes = bucket_shapes(side, multiple, ratio)
    sizes: dict[int, tuple[int, int]] = {}
    missing = list(collection.missing)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        for i in range(len(collection)):
            try:
                sizes[i] = size_of(collection.read(i))
            except Unreadable as error:
                missing.append((collection.names[i], str(error)))
    if not sizes:
        raise DataError(f"no picture in {collection.source} can be read; give a folder of intact pictures")
    while True:
        of = {i: nearest_shape(size, shapes) for i, size in sizes.items()}
        count = Counter(of.values())
        small = min(range(len(shapes)), key=lambda s: count[s])
        if count[small] >= at_least or len(shapes) == 1:
            break
        del shapes[small]
    sets: list[Images] = []
    for number, shape in enumerate(shapes):
        rows = [i for i in sizes if of[i] == number]
        part = collection.only(rows)
        if not sets:  # those that cannot be read are named once
            part = replace(part, missing=tuple(missing))
        sets.append(decode_once(part, shape, channels, strict)[0])
    return sets


@final
class BucketLoader:
    """Batches without end, each of one bucket, as often as it has pictures; a pure function of the seed and its number.

    In a cycle of N steps (N pictures in all), a bucket of n pictures is drawn n times, in random order, and shows each of its
    pictures ``batch`` times: no picture is favoured for the size of its bucket. Otherwise as :class:`Loader`.
    """

    def __init__(
        self,
        sets: Sequence[Dataset],
        batch: int,
        seed: int,
        flip: bool = False,
        rank: int = 0,
        world: int = 1,
        augment: Augment | None = None,
    ):
        check_batch(batch, seed, rank, world)
        if not sets:
            raise UsageError("no buckets; give at least one set")
        self.loaders = [
            Loader(images, batch, _seed(seed, i), flip, rank, world, augment) for i, images in enumerate(sets)
        ]
        self.sizes = np.array([len(images) for images in sets])
        self.batch, self.seed, self.flip, self.augment = batch, seed, flip, augment
        self.step = 0
        self._kept: tuple[int, np.ndarray, np.ndarray] | None = None

    @property
    def epoch(self) -> float:
        """How many times the pictures have been shown so far, on average."""
        return self.step * self.batch / int(self.sizes.sum())

    def __iter__(self) -> Iterator[Batch]:
        while True:
            batch = self.batch_at(self.step)
            self.step += 1
            yield batch

    def batch_at(self, step: int) -> Batch:
        """This process's part of batch number ``step``; does not move the stream."""
        bucket, number = self.place(step)
        return self.loaders[bucket].batch_at(number)

    def place(self, step: int) -> tuple[int, int]:
        """The bucket of a step, and the number of that bucket's batch."""
        total = int(self.sizes.sum())
        cycle, turn = divmod(step, total)
        if self._kept is None or self._kept[0] != cycle:
            order = np.argsort(raw(self.seed, _CYCLE, cycle, total), kind="stable")
            buckets = np.repeat(np.arange(len(self.sizes)), self.sizes)[order]
            before = np.empty(total, dtype=np.int64)  # how often the bucket came earlier in the cycle
            for bucket in range(len(self.sizes)):
                mine = buckets == bucket
                before[mine] = np.arange(self.sizes[bucket])
            self._kept = (cycle, buckets, before)
        _, buckets, before = self._kept
        bucket = int(buckets[turn])
        return bucket, cycle * int(self.sizes[bucket]) + int(before[turn])

    def state(self) -> dict[str, int]:
        """Where the stream is, and what it runs over; small integers only."""
        hashes = "".join(loader.images.content_hash for loader in self.loaders)
        return {
            "step": self.step,
            "seed": self.seed,
            "batch": self.batch,
            "flip": int(self.flip),
            "images": int(self.sizes.sum()),
            "content": int(hashlib.sha256(hashes.encode()).hexdigest()[:12], 16),
            **({} if self.augment is None else {"augment": self.augment.fingerprint()}),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with exactly the batch that would have come next."""
        self.step = restored_step(state, self.state(), "the buckets", None)


def _seed(seed: int, bucket: int) -> int:
    """Every bucket has an order of its own, so that equal sizes do not go in step."""
    return int(raw(seed, _CYCLE + 100, bucket, 1)[0] >> np.uint64(1))
