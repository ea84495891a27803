"""From pictures, wherever they lie, to one array: decode, crop, resize, count what could not be read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from ornstein.core.errors import DataError, UsageError
from ornstein.data.captions import Captions
from ornstein.data.dataset import Images
from ornstein.data.decode import Encoded, Unreadable, decode, is_grey
from ornstein.data.resize import Crop, check_crop, check_size, fit

_THREADS = 2
_PART = 256  # pictures handed to the threads at a time: bounds memory, and lets Ctrl-C in
_NAMED = 5  # skipped pictures that a message names

Size = int | tuple[int, int]
"""The side of a square, or (height, width)."""


class DataWarning(UserWarning):
    """Data that was left out; training goes on with the rest."""


@final
@dataclass(frozen=True)
class Report:
    """What became of the files: how many were read, which were skipped and why, how many are no pictures."""

    read: int
    skipped: tuple[tuple[object, str], ...] = ()
    ignored: int = 0

    def __str__(self) -> str:
        total = self.read + len(self.skipped)
        if not self.skipped:
            return f"{total} files read"
        more = len(self.skipped) - _NAMED
        named = "; ".join(f"{path}: {reason}" for path, reason in self.skipped[:_NAMED])
        return f"{len(self.skipped)} of {total} files skipped: {named}" + (f"; and {more} more" if more > 0 else "")


@final
@dataclass(frozen=True)
class Collection:
    """Pictures that are not decoded yet, in order, with what is known of each.

    ``read(i)`` gives picture i, ``names[i]`` is what a message calls it. ``stamps()`` has one line a picture, by which a
    change is noticed without decoding. ``missing`` are samples without a picture, each with the reason.
    """

    name: str
    source: str
    names: Sequence[object]
    read: Callable[[int], Encoded]
    stamps: Callable[[], list[str]]
    labels: Sequence[int] | None = None
    classes: tuple[str, ...] = ()
    captions: Sequence[str] | None = None
    ignored: int = 0
    missing: tuple[tuple[object, str], ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def only(self, rows: Sequence[int]) -> Collection:
        """Some of the pictures."""
        kept = list(rows)
        return replace(
            self,
            names=[self.names[i] for i in kept],
            read=lambda i: self.read(kept[i]),
            stamps=lambda: [stamps[i] for stamps in (self.stamps(),) for i in kept],
            labels=None if self.labels is None else [self.labels[i] for i in kept],
            captions=None if self.captions is None else [self.captions[i] for i in kept],
            missing=(),
        )


@final
class Decoder:
    """Decodes a collection part by part; what was skipped and whether all is grey is known when it has run."""

    def __init__(
        self,
        collection: Collection,
        size: Size,
        channels: int | None = None,
        strict: bool = False,
        crop: Crop = "center",
        progress: Callable[[int, int], None] | None = None,
    ):
        self.height, self.width = size if isinstance(size, tuple) else (size, size)
        check_size(min(self.height, self.width))
        check_crop(crop)
        if channels not in (None, 1, 3):
            raise UsageError(f"channels must be 1 (grey), 3 (colour) or None (as the pictures are), got {channels}")
        self.collection, self.channels, self.strict, self.crop, self.progress = (
            collection, channels, strict, crop, progress,
        )  # fmt: skip
        self.skipped: list[tuple[object, str]] = list(collection.missing)
        self.grey = True
        self.read = 0

    @property
    def report(self) -> Report:
        """What became of the pictures so far."""
        return Report(self.read, tuple(self.skipped), self.collection.ignored)

    def __iter__(self) -> Iterator[tuple[list[int], np.ndarray]]:
        """Numbers of pictures, and their pixels ``[B, C, H, W]``; three channels where ``channels`` is None."""
        names, total = self.collection.names, len(self.collection)
        if self.strict and self.skipped:
            raise self._refusal(*self.skipped[0])
        with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
            # Pillow warns of damaged EXIF data and of sizes that MAX_PIXELS judges; once a file, that would be a flood.
            warnings.filterwarnings("ignore", module=r"PIL\b")
            for start in range(0, total, _PART):
                numbers = range(start, min(start + _PART, total))
                kept: list[int] = []
                x = np.empty((len(numbers), self.channels or 3, self.height, self.width), dtype=np.uint8)
                for i, found in zip(numbers, pool.map(self._try, numbers), strict=True):
                    if isinstance(found, np.ndarray):
                        x[len(kept)] = found  # grey is repeated where x has three channels
                        self.grey &= found.shape[0] == 1
                        kept.append(i)
                    elif self.strict:
                        raise self._refusal(names[i], found)
                    else:
                        self.skipped.append((names[i], found))
                    if self.progress is not None:
                        self.progress(i + 1, total)
                self.read += len(kept)
                if kept:
                    yield kept, x[: len(kept)]
        if not self.read:
            raise DataError(
                f"no picture in {self.collection.source} can be read: {self.report}; give a folder of intact pictures"
            )

    def one(self, i: int) -> np.ndarray:
        """Picture number i, ``[C, H, W]``."""
        found = self._try(i)
        if isinstance(found, str):
            raise self._refusal(self.collection.names[i], found)
        return np.broadcast_to(found, (self.channels or 3, *found.shape[1:]))

    def _refusal(self, name: object, why: str) -> DataError:
        return DataError(f"{name} cannot be read: {why}; mend or remove it, or leave out strict to skip it")

    def _try(self, i: int) -> np.ndarray | str:
        try:
            return self._pixels(self.collection.read(i))
        except Unreadable as error:
            return str(error)

    def _pixels(self, encoded: Encoded) -> np.ndarray:
        """``[1, H, W]`` for a grey picture, ``[3, H, W]`` for a coloured one, unless ``channels`` says which."""
        picture = decode(encoded, max(self.height, self.width))
        if self.channels == 1 and not is_grey(picture):
            picture = picture.convert("L")
        pixels = np.asarray(fit(picture, self.height, self.width, self.crop))
        if pixels.dtype != np.uint8:
            pixels = np.rint(pixels).clip(0, 255).astype(np.uint8)  # Lanczos may overshoot
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def to_images(
    collection: Collection,
    size: Size,
    channels: int | None = None,
    strict: bool = False,
    crop: Crop = "center",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Images, Report]:
    """All pictures of a collection, decoded into memory."""
    decoder = Decoder(collection, size, channels, strict, crop, progress)
    kept: list[int] = []
    x = np.empty((len(collection), channels or 3, decoder.height, decoder.width), dtype=np.uint8)
    for numbers, part in decoder:
        x[len(kept) : len(kept) + len(numbers)] = part
        kept += numbers
    x = x[: len(kept)]
    if channels is None and decoder.grey:
        x = x[:, :1].copy()
    warn_of(collection, decoder.report)
    labels, captions = collection.labels, collection.captions
    images = Images(
        x,
        None if labels is None else np.array([labels[i] for i in kept], dtype=np.int64),
        collection.classes,
        collection.name,
        collection.source,
        captions=None if captions is None else Captions.of(captions[i] for i in kept),
    )
    return images, decoder.report


def warn_of(collection: Collection, report: Report) -> None:
    """Name what was left out."""
    if report.skipped:
        warnings.warn(f"{collection.source}: {report}", DataWarning, stacklevel=3)
