"""A set of images of one size, in memory or memory-mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError

Index = Tensor | np.ndarray | Sequence[int] | slice


@final
@dataclass(frozen=True, eq=False)
class Images:
    """Images ``x [N, C, H, W]`` uint8 with optional ``labels [N]`` int64 (``-1``: none) that index ``classes``.

    ``x`` may be a read-only memory map: only the rows that are asked for are read. ``source`` and ``licence`` say
    where the images come from and under which terms.
    """

    x: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    name: str = "images"
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if self.x.ndim != 4 or self.x.dtype != np.uint8:
            raise DataError(
                f"'{self.name}': expected uint8 images [N, C, H, W], got {self.x.dtype} of shape {tuple(self.x.shape)}; "
                "open_data() converts arrays of other types and layouts"
            )
        if self.x.size == 0:
            raise DataError(f"'{self.name}' has no images: shape {tuple(self.x.shape)}; give at least one")
        if self.labels is None:
            if self.classes:
                raise DataError(
                    f"'{self.name}' names {len(self.classes)} classes but has no labels; give both or neither"
                )
            return
        if self.labels.shape != (len(self),) or not np.issubdtype(self.labels.dtype, np.integer):
            raise DataError(
                f"'{self.name}': labels must be {len(self)} integers, one per image, "
                f"got {self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )
        object.__setattr__(self, "labels", self.labels.astype(np.int64, copy=False))
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < -1 or high >= len(self.classes):
            raise DataError(
                f"'{self.name}': labels run from {low} to {high} but there are {len(self.classes)} classes; "
                f"labels must lie in 0 .. {len(self.classes) - 1} (-1: no label)"
            )

    def __len__(self) -> int:
        return self.x.shape[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of one image."""
        _, c, h, w = self.x.shape
        return c, h, w

    def __getitem__(self, index: Index) -> Batch:
        """A copy of some images, ``[B, C, H, W]``, with their labels as ``cond["label"]`` where there are any."""
        rows = index if isinstance(index, slice) else np.asarray(index)
        x = torch.from_numpy(_copy(self.x, rows))
        return Batch(x, {} if self.labels is None else {"label": torch.from_numpy(_copy(self.labels, rows))})

    def batches(self, size: int) -> Iterator[Batch]:
        """All images once, in their order; the last batch may be smaller."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def take(self, index: Index) -> Images:
        """Some of the images as a set of their own, with the same classes."""
        rows = index if isinstance(index, slice) else np.asarray(index)
        labels = None if self.labels is None else _copy(self.labels, rows)
        return Images(_copy(self.x, rows), labels, self.classes, self.name, self.source, self.licence)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of shape, pixels, labels and class names: equal for equal data, wherever it lies."""
        digest = hashlib.sha256(repr((self.x.shape, self.classes, self.labels is not None)).encode())
        for start in range(0, len(self), 4096):  # in parts, so that a memory map need not fit in memory
            digest.update(np.ascontiguousarray(self.x[start : start + 4096]).data)
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        c, h, w = self.shape
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"Images('{self.name}', {len(self)} of {c}x{h}x{w}{classes})"


def _copy(array: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """Rows in fresh, contiguous, writable memory (torch refuses to share what is read-only)."""
    if isinstance(rows, slice):
        return np.array(array[rows], order="C")
    if array.flags.c_contiguous:
        return array.take(rows, axis=0)  # three times as fast as indexing; but copies all of a strided array first
    return np.ascontiguousarray(array[rows])
