"""Sets of samples that arrays hold, in memory or memory-mapped: images, and everything that is not images."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, Self, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError, suggest
from ornstein.data.captions import Captions

Index = Tensor | np.ndarray | Sequence[int] | slice

PART = 4096
"""Rows that are hashed or checked at a time, so that a memory map need not fit in memory."""

KINDS: dict[str, str] = {
    "audio": "N C T",
    "latents": "N C H W",
    "points": "N P D",
    "series": "N C T",
    "tokens": "N L",
    "vectors": "N D",
    "video": "N T C H W",
    "volumes": "N C D H W",
}
"""What :class:`Arrays` may hold, and the axes of each. P points of D coordinates, L tokens, volumes of depth D."""

DTYPES = ("uint8", "int16", "int32", "int64", "float16", "float32")


class Dataset(Protocol):
    """What a stream of batches needs: rows by number, and a hash that changes when any of them does."""

    @property
    def name(self) -> str: ...
    @property
    def content_hash(self) -> str: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: Index) -> Batch: ...


@dataclass(frozen=True, eq=False)
class Table(ABC):
    """Samples ``x [N, ...]`` with optional ``labels [N]`` int64 (``-1``: none) that index ``classes``.

    ``x`` may be a read-only memory map: only the rows that are asked for are read. ``source`` and ``licence`` say where
    the samples come from and under which terms. ``captions`` are texts, one a sample; ``conds`` further conditions
    ``[N, ...]`` by name, such as the embeddings of those texts. ``stored`` is the folder that a set of the cache is mapped
    from, and ``digests`` the hashes of its parts, which then need not be computed.
    """

    x: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    name: str = "data"
    source: str = ""
    licence: str = ""
    captions: Captions | None = None
    conds: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    stored: Path | None = None
    digests: Mapping[str, str] | None = None

    @property
    @abstractmethod
    def kind(self) -> str:
        """``images``, or one of :data:`KINDS`."""

    @property
    def rate(self) -> float:
        """Samples or frames a second; 0 where that means nothing."""
        return 0.0

    @property
    def symbols(self) -> tuple[str, ...]:
        """What each token is; empty where there are no tokens."""
        return ()

    @abstractmethod
    def _check_x(self) -> None:
        """Refuse an array that cannot be of this kind."""

    def __post_init__(self) -> None:
        self._check_x()
        if self.captions is not None and len(self.captions) != len(self):
            raise DataError(
                f"'{self.name}' has {len(self)} samples and {len(self.captions)} captions; give one each (or '')"
            )
        for name, value in self.conds.items():
            if value.ndim < 1 or len(value) != len(self) or value.dtype.kind not in "biuf" or name == "label":
                raise DataError(
                    f"'{self.name}': condition '{name}' must be an array of {len(self)} rows of booleans, integers or "
                    f"floats, and labels go into labels; got {value.dtype} of shape {tuple(value.shape)}"
                )
        if self.labels is None:
            if self.classes:
                raise DataError(
                    f"'{self.name}' names {len(self.classes)} classes but has no labels; give both or neither"
                )
            return
        noun = "image" if self.kind == "images" else "sample"
        if self.labels.shape != (len(self),) or not np.issubdtype(self.labels.dtype, np.integer):
            raise DataError(
                f"'{self.name}': labels must be {len(self)} integers, one per {noun}, "
                f"got {self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )
        object.__setattr__(self, "labels", self.labels.astype(np.int64, copy=False))
        if self.digests is not None:  # of the cache: it was checked when it was written
            return
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < -1 or high >= len(self.classes):
            raise DataError(
                f"'{self.name}': labels run from {low} to {high} but there are {len(self.classes)} classes; "
                f"labels must lie in 0 .. {len(self.classes) - 1} (-1: no label)"
            )

    def __len__(self) -> int:
        return self.x.shape[0]

    def __getitem__(self, index: Index) -> Batch:
        """A copy of some samples ``[B, ...]``, with their labels as ``cond["label"]`` where there are any."""
        rows = index if isinstance(index, slice) else np.asarray(index)
        cond = {name: torch.from_numpy(_signed(_copy(value, rows))) for name, value in self.conds.items()}
        if self.labels is not None:
            cond["label"] = torch.from_numpy(_copy(self.labels, rows))
        return Batch(torch.from_numpy(_copy(self.x, rows)), cond)

    def batches(self, size: int) -> Iterator[Batch]:
        """All samples once, in their order; the last batch may be smaller."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def take(self, index: Index) -> Self:
        """Some of the samples as a set of their own, with the same classes."""
        rows = index if isinstance(index, slice) else np.asarray(index)
        return replace(
            self,
            x=_copy(self.x, rows),
            labels=None if self.labels is None else _copy(self.labels, rows),
            captions=None if self.captions is None else self.captions.take(rows),
            conds={name: _copy(value, rows) for name, value in self.conds.items()},
            stored=None,
            digests=None,
        )

    def with_x(self, x: np.ndarray) -> Self:
        """The same samples, otherwise drawn: resized, say. Labels and captions stay."""
        return replace(self, x=x, stored=None, digests=None)

    def with_cond(self, name: str, value: np.ndarray) -> Self:
        """The same samples with one more condition ``[N, ...]``: embeddings of the captions, say."""
        return replace(self, conds={**self.conds, name: value}, stored=None, digests=None)

    def parts(self) -> dict[str, np.ndarray]:
        """Every array of the set by name: ``x``, ``labels``, ``captions``, ``caption_ends``, ``cond-NAME``."""
        found = {"x": self.x}
        if self.labels is not None:
            found["labels"] = self.labels
        if self.captions is not None:
            found |= {"captions": self.captions.texts, "caption_ends": self.captions.ends}
        return found | {f"cond-{name}": value for name, value in sorted(self.conds.items())}

    @cached_property
    def part_hashes(self) -> Mapping[str, str]:
        """SHA-256 of each array, with its type and shape."""
        return self.digests or {name: array_hash(value) for name, value in self.parts().items()}

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of all arrays, class names and kind: equal for equal data, wherever it lies and whatever its name."""
        about = [self.kind, self.rate, list(self.classes), list(self.symbols), sorted(self.part_hashes.items())]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()


@final
@dataclass(frozen=True, eq=False, repr=False)
class Images(Table):
    """Images ``x [N, C, H, W]`` uint8; see :class:`Table` for the rest."""

    name: str = "images"

    @property
    def kind(self) -> str:
        return "images"

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of one image."""
        _, c, h, w = self.x.shape
        return c, h, w

    def _check_x(self) -> None:
        if self.x.ndim != 4 or self.x.dtype != np.uint8:
            raise DataError(
                f"'{self.name}': expected uint8 images [N, C, H, W], got {self.x.dtype} of shape {tuple(self.x.shape)}; "
                "open_data() converts arrays of other types and layouts"
            )
        if self.x.size == 0:
            raise DataError(f"'{self.name}' has no images: shape {tuple(self.x.shape)}; give at least one")

    def __repr__(self) -> str:
        c, h, w = self.shape
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"Images('{self.name}', {len(self)} of {c}x{h}x{w}{classes})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Arrays(Table):
    """Samples that are not pictures: series, audio, video, points and more (:data:`KINDS`), all of one shape.

    ``hertz``: samples or frames a second (audio, video, series), 0 where that means nothing. Sequences of different
    lengths are padded; how much of each counts is the condition ``length [N]`` int64. ``alphabet`` says what each token is.
    """

    of: str = "series"
    hertz: float = 0.0
    alphabet: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.of

    @property
    def rate(self) -> float:
        return float(self.hertz)

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.alphabet

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return tuple(self.x.shape[1:])

    def text(self, row: int) -> str:
        """The tokens of a sample as a text."""
        if not self.alphabet:
            raise UsageError(f"'{self.name}' does not say what its tokens are; it has no alphabet")
        return "".join(self.alphabet[int(i)] for i in self.x[row])

    def _check_x(self) -> None:
        if self.of not in KINDS:
            raise UsageError(f"unknown kind of data '{self.of}': {suggest(self.of, KINDS)}; pictures are Images")
        axes = KINDS[self.of].split()
        if self.x.ndim != len(axes):
            raise DataError(
                f"'{self.name}': {self.of} have the axes [{', '.join(axes)}], got shape {tuple(self.x.shape)}; "
                f"{'add' if self.x.ndim < len(axes) else 'merge'} axes, or give another kind: {kinds_of(self.x.ndim)}"
            )
        if self.x.size == 0:
            raise DataError(f"'{self.name}' has no samples: shape {tuple(self.x.shape)}; give at least one")
        if self.x.dtype.name not in DTYPES:
            raise DataError(f"'{self.name}' holds {self.x.dtype}; convert to one of {', '.join(DTYPES)}")
        if self.alphabet and self.of != "tokens":
            raise DataError(f"'{self.name}' holds {self.of}, which have no alphabet; leave it out")
        if self.hertz < 0:
            raise DataError(f"'{self.name}': the rate must be positive, got {self.hertz:g}")

    def __repr__(self) -> str:
        classes = f", {len(self.classes)} classes" if self.classes else ""
        rate = f", {self.hertz:g} Hz" if self.hertz else ""
        shape = "x".join(map(str, self.shape))
        return f"Arrays('{self.name}', {len(self)} {self.of} of {shape} {self.x.dtype}{rate}{classes})"


def kinds_of(ndim: int) -> str:
    """The kinds whose arrays have that many axes."""
    fitting = [kind for kind, axes in KINDS.items() if len(axes.split()) == ndim]
    return ", ".join(fitting) or f"none has {ndim} axes"


def array_hash(array: np.ndarray) -> str:
    """SHA-256 of values in C order, type and shape, read part by part."""
    digest = hashlib.sha256()
    for start in range(0, len(array), PART):
        digest.update(np.ascontiguousarray(array[start : start + PART]).view(np.uint8).data)
    digest.update(trailer(array.dtype, array.shape))
    return digest.hexdigest()


def trailer(dtype: np.dtype[Any], shape: Sequence[int]) -> bytes:
    """What is hashed after an array's values; after, because a set that is being written does not know its length."""
    return f"{np.dtype(dtype).str} {list(shape)}".encode()


def _signed(value: np.ndarray) -> np.ndarray:
    """Bytes as int16: a condition must be able to say that it is missing, which is -1."""
    return value.astype(np.int16) if value.dtype == np.uint8 else value


def _copy(array: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """Rows in fresh, contiguous, writable memory (torch refuses to share what is read-only)."""
    if isinstance(rows, slice):
        return np.array(array[rows], order="C")
    if array.flags.c_contiguous:
        return np.asarray(array).take(rows, axis=0)  # thrice as fast as indexing; but copies a strided array first
    return np.ascontiguousarray(array[rows])
