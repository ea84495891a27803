"""Read a folder of pictures; sub-folders are classes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, final

import numpy as np

from ornstein.core.errors import DataError, UsageError
from ornstein.data.dataset import Images
from ornstein.data.decode import SUFFIXES, Unreadable, decode, is_grey, others
from ornstein.data.resize import Crop, check_crop, check_size, square

_THREADS = 2
_PART = 256  # files handed to the threads at a time: bounds memory, and lets Ctrl-C in
_NAMED = 5  # skipped files that a message names


class DataWarning(UserWarning):
    """Data that was left out; training goes on with the rest."""


@final
@dataclass(frozen=True)
class Report:
    """What became of a folder's files: how many were read, which were skipped and why, how many are no pictures."""

    read: int
    skipped: tuple[tuple[Path, str], ...] = ()
    ignored: int = 0

    def __str__(self) -> str:
        total = self.read + len(self.skipped)
        if not self.skipped:
            return f"{total} files read"
        more = len(self.skipped) - _NAMED
        named = "; ".join(f"{path}: {reason}" for path, reason in self.skipped[:_NAMED])
        return f"{len(self.skipped)} of {total} files skipped: {named}" + (f"; and {more} more" if more > 0 else "")


class Listing(NamedTuple):
    """A folder's picture files in order, the class of each (empty: no classes), and its other files."""

    files: list[Path]
    labels: list[int]
    classes: tuple[str, ...]
    others: list[Path]


def read_folder(
    path: str | Path,
    size: int,
    channels: int | None = None,
    strict: bool = False,
    crop: Crop = "center",
    progress: Callable[[int, int], None] | None = None,
    exclude: frozenset[str] = frozenset(),
) -> tuple[Images, Report]:
    """All pictures below ``path`` as ``size`` x ``size``, in the order of their paths.

    Sub-folders are classes, in the order of their names, and may be nested; a folder without them has no labels.
    Hidden files and folders are passed over.

    Args:
        channels: 1 (grey), 3 (colour), or None: 1 if every picture is grey, else 3.
        strict: refuse a file that cannot be read, instead of skipping it with a :class:`DataWarning` at the end.
        crop: ``center`` takes the central square, ``squash`` deforms the whole picture into one.
        progress: called with the number of files done and of all files.
        exclude: names of files that are passed over.

    Raises:
        DataError: no such folder, no pictures in it, none that can be read, or (``strict``) one that cannot.
    """
    check_size(size)
    check_crop(crop)
    if channels not in (None, 1, 3):
        raise UsageError(f"channels must be 1 (grey), 3 (colour) or None (as the pictures are), got {channels}")
    path = Path(path)
    listing = list_folder(path, exclude)
    total = len(listing.files)
    x = np.empty((total, channels or 3, size, size), dtype=np.uint8)
    kept: list[int] = []
    skipped: list[tuple[Path, str]] = []
    grey = True

    def read(file: Path) -> np.ndarray | str:
        try:
            return _pixels(file, size, channels, crop)
        except Unreadable as error:
            return str(error)

    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        # Pillow warns of damaged EXIF data and of sizes that MAX_PIXELS judges; once a file, that would be a flood.
        warnings.filterwarnings("ignore", module=r"PIL\b")
        for start in range(0, total, _PART):
            part = listing.files[start : start + _PART]
            for number, (file, found) in enumerate(zip(part, pool.map(read, part), strict=True), start):
                if isinstance(found, np.ndarray):
                    x[len(kept)] = found  # grey is repeated where x has three channels
                    grey &= found.shape[0] == 1
                    kept.append(number)
                elif strict:
                    raise DataError(
                        f"{file} cannot be read: {found}; mend or remove it, or leave out strict to skip it"
                    )
                else:
                    skipped.append((file, found))
                if progress is not None:
                    progress(number + 1, total)
    report = Report(len(kept), tuple(skipped), len(listing.others))
    if not kept:
        raise DataError(f"no picture in {path} can be read: {report}; give a folder of intact pictures")
    if skipped:
        warnings.warn(f"{path}: {report}", DataWarning, stacklevel=2)
    x = x[: len(kept)]
    if channels is None and grey:
        x = x[:, :1].copy()
    labels = np.array(listing.labels, dtype=np.int64)[kept] if listing.classes else None
    name = path.name or path.resolve().name
    return Images(x, labels, listing.classes, name, source=str(path)), report


def list_folder(path: Path, exclude: frozenset[str] = frozenset()) -> Listing:
    """Find the pictures of a folder without opening them."""
    if not path.exists():
        raise DataError(f"no folder {path}; check the path")
    if not path.is_dir():
        raise DataError(f"{path} is a file; give the folder that holds the pictures")
    loose: list[Path] = []
    ignored: list[Path] = []
    groups: dict[str, list[Path]] = {}
    for entry in visible(path):
        if entry.name in exclude:
            continue
        if not entry.is_dir():
            (loose if _is_picture(entry) else ignored).append(entry)
            continue
        files = list(_walk(entry))
        pictures = [file for file in files if _is_picture(file)]
        ignored += [file for file in files if not _is_picture(file)]
        if pictures:
            groups[entry.name] = pictures
    if not loose and not groups:
        beside = f" (it holds {others(ignored)})" if ignored else " (it is empty)"
        endings = " ".join(sorted(SUFFIXES))
        raise DataError(f"no pictures in {path}{beside}; put files there that end in one of {endings}")
    if loose and groups:
        raise DataError(
            f"{path} holds both {len(loose)} loose pictures and sub-folders with pictures ({', '.join(groups)}); "
            "move the loose ones into a class folder, or the sub-folders elsewhere"
        )
    if loose:
        return Listing(loose, [], (), ignored)
    labels = [label for label, files in enumerate(groups.values()) for _ in files]
    return Listing([file for files in groups.values() for file in files], labels, tuple(groups), ignored)


def visible(folder: Path) -> list[Path]:
    """What lies in a folder by name, without hidden entries and the side files that macOS adds to archives."""
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name != "__MACOSX")
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}; check its permissions") from None


def _walk(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """Files at any depth; links are followed, except into a folder that they lie in."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in visible(folder):
        if entry.is_dir():
            yield from _walk(entry, (*above, real))
        else:
            yield entry


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _pixels(file: Path, size: int, channels: int | None, crop: Crop) -> np.ndarray:
    """``[1, size, size]`` for a grey picture, ``[3, size, size]`` for a coloured one, unless ``channels`` says which."""
    picture = decode(file, size)
    if channels == 1 and not is_grey(picture):
        picture = picture.convert("L")
    pixels = np.asarray(square(picture, size, crop))
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels).clip(0, 255).astype(np.uint8)  # Lanczos may overshoot
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
