"""Where images to be measured come from: anything that gives a slice of them when asked, so that none must be kept."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError


@runtime_checkable
class Source(Protocol):
    """``source[a:b]`` are images a to b - 1 with their labels, always the same ones; ``content_hash`` says which.

    :class:`ornstein.data.Images` is one, and so is :class:`ornstein.recipes.drawn.Drawn`, which samples what is asked for.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """``(C, H, W)``."""

    @property
    def content_hash(self) -> str:
        """Equal for equal images."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice) -> Batch[Any]: ...


@final
class Tensors:
    """uint8 images ``[N, C, H, W]`` in memory, with labels ``[N]`` or without."""

    def __init__(self, x: Tensor, labels: Tensor | None = None):
        if x.dtype != torch.uint8 or x.ndim != 4:
            raise DataError(f"images must be uint8 [N, C, H, W], got {x.dtype} of shape {tuple(x.shape)}")
        if labels is not None and len(labels) != len(x):
            raise DataError(f"{len(labels)} labels for {len(x)} samples")
        self.x, self.labels = x, labels

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @property
    def content_hash(self) -> str:
        digest = hashlib.sha256(repr(tuple(self.x.shape)).encode())
        for x in (self.x, self.labels):
            if x is not None:
                digest.update(x.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: slice) -> Batch[Tensor]:
        return Batch(self.x[index], {} if self.labels is None else {"label": self.labels[index]})


@final
class Chosen:
    """Some images of another source that can be indexed by numbers, read when they are asked for."""

    def __init__(self, source: Any, index: Tensor):
        self.source, self.index = source, index
        self.shape: tuple[int, ...] = tuple(source.shape)

    @property
    def content_hash(self) -> str:
        digest = hashlib.sha256(self.source.content_hash.encode())
        digest.update(self.index.numpy().tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: slice) -> Batch[Any]:
        batch: Batch[Any] = self.source[self.index[index].numpy()]
        return batch


def spread(have: int, want: int) -> Tensor:
    """At most ``want`` indices, spread evenly: sets are often sorted by class."""
    return torch.linspace(0, have - 1, min(want, have), dtype=torch.float64).round().long()


def as_source(x: Tensor | Source, labels: Tensor | None = None) -> Source:
    """A source as it is; a tensor as one."""
    if isinstance(x, Tensor):
        return Tensors(x, labels)
    if not isinstance(x, Source):
        raise DataError(
            f"images are given as a uint8 tensor [N, C, H, W] or as a source of them, got {type(x).__name__}"
        )
    if labels is not None:
        raise DataError("labels are given beside a tensor; a source brings its own")
    return x
