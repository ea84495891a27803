"""Open data by what the user has: a name, a folder, a file of arrays."""

from __future__ import annotations

from pathlib import Path

from ornstein.core.errors import DataError, UsageError, suggest
from ornstein.data import fashion_mnist
from ornstein.data.arrays import read_arrays
from ornstein.data.dataset import Images
from ornstein.data.decoded import decode_once
from ornstein.data.folder import folder_pictures, visible
from ornstein.data.resize import check_size, pad, resize
from ornstein.data.sources import SOURCES, check_split

FOLDER_SIZE = 32
"""The size that pictures of a folder get where none is asked for; other data keeps its own."""

_BORDER = 1.25  # named sets on a black ground are padded up to this much and interpolated beyond
_SPLITS = ("train", "test", "val", "valid", "validation")


def open_data(
    what: str | Path | Images,
    size: int | None = None,
    channels: int | None = None,
    split: str = "train",
    strict: bool = False,
) -> Images:
    """Open images ``[N, C, H, W]``, all of one size.

    Args:
        what: the name of a set (:data:`ornstein.data.SOURCES`); a folder of pictures, whose sub-folders are classes
            or else ``train`` and ``test``; a folder with the IDX files of Fashion-MNIST; an ``.npy`` or ``.npz`` file;
            or images, which pass through. A name goes before a folder of that name: write ``./digits`` for that.
        size: height and width. Larger images are cropped to their central square and reduced, smaller ones enlarged;
            sets on a black ground are given a border instead, up to a quarter of their size. Default: as they are,
            for pictures of a folder :data:`FOLDER_SIZE`.
        channels: 1 or 3. Pictures of a folder are converted; other data must have that many.
        split: which part of data that is split.
        strict: refuse a folder in which some picture cannot be read.

    Raises:
        DataError: nothing of that name, no such split, unusable data; the message says what and the remedy.
    """
    if channels not in (None, 1, 3):
        raise UsageError(f"channels must be 1 (grey), 3 (colour) or None (as the data is), got {channels}")
    if size is not None:
        check_size(size)
    images, padded = _read(what, size, channels, split, strict)
    found = images.shape[0]
    if channels is not None and found != channels:
        raise DataError(
            f"'{images.name}' has {found} channel{'s' * (found > 1)}, asked for {channels}; "
            f"ask for {found}, or convert the data"
        )
    if size is None:
        return images
    largest = max(images.shape[1:])
    return pad(images, size) if padded and largest < size <= _BORDER * largest else resize(images, size)


def _read(
    what: str | Path | Images, size: int | None, channels: int | None, split: str, strict: bool
) -> tuple[Images, bool]:
    """The images, and whether they are to be padded rather than enlarged."""
    if isinstance(what, Images):
        return what, False
    if isinstance(what, str) and what in SOURCES:
        source = SOURCES[what]
        check_split(what, split, source.splits)
        return source.read(split), source.padded
    path = Path(what).expanduser()
    if not path.exists():
        raise DataError(
            f"unknown data '{what}': no data set of that name ({suggest(str(what), SOURCES)}) and no such file or folder"
        )
    if path.suffix.lower() in (".npy", ".npz") and not path.is_dir():
        return read_arrays(path, split), False
    if not path.is_dir():
        raise DataError(f"{path} is no data that can be read; give a folder of pictures, or an .npy or .npz file")
    if fashion_mnist.complete(path):
        check_split(str(path), split, SOURCES["fashion-mnist"].splits)
        return fashion_mnist.read_files(path, split), SOURCES["fashion-mnist"].padded
    return decode_once(folder_pictures(_part(path, split)), size or FOLDER_SIZE, channels, strict)[0], False


def _part(folder: Path, split: str) -> Path:
    """The sub-folder of a split, where a folder's only sub-folders are splits; else the folder itself."""
    inside = {entry.name for entry in visible(folder) if entry.is_dir()}
    if "train" in inside and inside <= set(_SPLITS):
        check_split(str(folder), split, tuple(sorted(inside)))
        return folder / split
    if split != "train":
        raise DataError(f"{folder} has no split '{split}'; put the pictures in its sub-folders 'train' and '{split}'")
    return folder
