"""Samples in the company of others of their class: what few-shot models learn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.data.dataset import Images
from ornstein.data.loader import Loader
from ornstein.data.order import raw

_SETS = 4  # a random stream of the loader's seed, beside those of its order, flips and changes


@final
class Companions:
    """A loader's batches, in which labels give way to sets: ``cond[name]`` ``[B, size, C, H, W]`` floats in [-1, 1].

    A sample's set holds others of its class, never itself: 1 .. size of them, each number as often, as far as the class has so
    many; places that stay empty are NaN. A sample without a label, or alone in its class, has an empty set. Like the
    loader's own batches each is a function of the seed and its number.

    Raises:
        DataError: the data have no labels, or no class with two pictures.
    """

    def __init__(self, loader: Loader, size: int, name: str):
        table = loader.images
        if size < 1:
            raise UsageError(f"a set needs at least 1 picture, got {size}")
        if not isinstance(table, Images) or table.labels is None:
            raise DataError(
                f"'{getattr(table, 'name', 'these data')}' has no labels, and sets are of one class: give images in one "
                "folder per class"
            )
        self.loader, self.images, self.size, self.name = loader, table, size, name
        self.labels = table.labels
        self.members = [np.flatnonzero(self.labels == c) for c in range(len(table.classes))]
        if max((len(m) for m in self.members), default=0) < 2:
            raise DataError(f"no class of '{table.name}' has two pictures, so none has company; give more of each")

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.loader:
            yield self._joined(batch, self.loader.step - 1)

    def batch_at(self, step: int) -> Batch:
        """Batch number ``step``; does not move the stream."""
        return self._joined(self.loader.batch_at(step), step)

    def _joined(self, batch: Batch, step: int) -> Batch:
        rows = self.loader.rows_at(step)
        bits = raw(self.loader.seed, _SETS, step, self.loader.batch * (self.size + 1)).reshape(self.loader.batch, -1)
        share = len(rows)
        mine = bits[self.loader.rank * share : (self.loader.rank + 1) * share]
        sets = torch.full((share, self.size, *self.images.shape), torch.nan)
        for i, (row, own) in enumerate(zip(rows, mine, strict=True)):
            others = self.others(int(row), own)
            if len(others):
                sets[i, : len(others)] = floats(self.images[others].x)
        cond = {k: v for k, v in batch.cond.items() if k != "label"}
        return replace(batch, cond={**cond, self.name: sets})

    def others(self, row: int, bits: np.ndarray) -> np.ndarray:
        """Rows of the same class, chosen by ``1 + size`` random numbers: how many, and each place's."""
        label = int(self.labels[row])
        if label < 0:
            return np.empty(0, dtype=np.int64)
        members = self.members[label]
        company = members[members != row]
        most = min(self.size, len(company))
        if most == 0:
            return np.empty(0, dtype=np.int64)
        count = 1 + int(bits[0] % np.uint64(most))
        for place in range(count):  # a shuffle of as many places as are needed
            other = place + int(bits[1 + place] % np.uint64(len(company) - place))
            company[[place, other]] = company[[other, place]]
        return company[:count]

    def state(self) -> dict[str, int]:
        """Where the stream is: the loader's."""
        return self.loader.state()

    def restore(self, state: dict[str, int]) -> None:
        """Go on with exactly the batch that would have come next."""
        self.loader.restore(state)


def floats(x: Tensor) -> Tensor:
    """Bytes as floats in [-1, 1]."""
    return x.float() / 127.5 - 1
