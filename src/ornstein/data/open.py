"""Open data by what the user has: a name, a folder, a file of arrays."""

from __future__ import annotations

from pathlib import Path

from ornstein.core.errors import DataError, UsageError, suggest
from ornstein.data.dataset import Images
from ornstein.data.resize import check_size, pad, resize
from ornstein.data.sources import SOURCES, check_split

_BORDER = 1.25  # named sets on a black ground are padded up to this much and interpolated beyond


def open_data(
    what: str | Path | Images,
    size: int | None = None,
    channels: int | None = None,
    split: str = "train",
    strict: bool = False,
) -> Images:
    """Open a named set as images ``[N, C, size, size]``."""
    if channels not in (None, 1, 3):
        raise UsageError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
    if size is not None:
        check_size(size)
    if isinstance(what, Images):
        images, padded = what, False
    elif isinstance(what, str) and what in SOURCES:
        source = SOURCES[what]
        check_split(what, split, source.splits)
        images, padded = source.read(split), source.padded
    else:
        raise DataError(f"unknown data '{what}': {suggest(str(what), SOURCES)}")
    if channels is not None and images.shape[0] != channels:
        raise DataError(f"'{images.name}' has {images.shape[0]} channels, asked for {channels}; leave out channels")
    if size is None:
        return images
    small = max(images.shape[1:])
    return pad(images, size) if padded and small < size <= _BORDER * small else resize(images, size)
