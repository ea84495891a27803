"""Open data by what the user has: a name, a folder, a file of arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError, UsageError, suggest
from ornstein.data import fashion_mnist
from ornstein.data.archive import SPLITS
from ornstein.data.arrays import read_arrays
from ornstein.data.dataset import Images, Table
from ornstein.data.decoded import decode_once
from ornstein.data.folder import folder_pictures, visible
from ornstein.data.hugging_face import Rows, is_rows, row_pictures
from ornstein.data.idx import is_idx, read_idx_images
from ornstein.data.parquet import parquet_pictures
from ornstein.data.resize import check_size, pad, resize
from ornstein.data.sources import SOURCES, check_split
from ornstein.data.store import is_store, open_store
from ornstein.data.tables import read_table
from ornstein.data.tars import tar_pictures
from ornstein.data.zips import zip_pictures

What = str | Path | Table | Rows | Mapping[str, Rows]
"""What data may be given as: a name, a path, a set that is open, or an object of the ``datasets`` library."""

FOLDER_SIZE = 32
"""The size that pictures of files get where none is asked for; other data keeps its own."""

_BORDER = 1.25  # named sets on a black ground are padded up to this much and interpolated beyond


def open_data(
    what: What,
    size: int | None = None,
    channels: int | None = None,
    split: str = "train",
    strict: bool = False,
) -> Images:
    """Open images ``[N, C, H, W]``, all of one size.

    Args:
        what: the name of a set (:data:`ornstein.data.SOURCES`); a folder or ``.zip`` of pictures, whose sub-folders are
            classes or else ``train`` and ``test``; ``.tar`` shards (one, a folder, ``set-{000..015}.tar``); Parquet files;
            IDX files; an ``.npy`` or ``.npz`` file; a stored set; an object of the ``datasets`` library; or images, which
            pass through. A name goes before a folder of that name: write ``./digits`` for that.
        size: height and width. Larger images are cropped to their central square and reduced, smaller ones enlarged;
            sets on a black ground are given a border instead, up to a quarter of their size. Default: as they are,
            for pictures that lie as files :data:`FOLDER_SIZE`.
        channels: 1 or 3. Pictures that lie as files are converted; other data must have that many.
        split: which part of data that is split.
        strict: refuse a folder or archive in which some picture cannot be read.

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


def open_table(what: What, split: str = "train", kind: str | None = None) -> Table:
    """Open data of any kind: what :func:`open_data` opens, and series, audio, video, points, tokens (:data:`KINDS`).

    ``kind`` says what the array of an ``.npy`` or ``.npz`` file is, where the file does not.
    """
    path = Path(what).expanduser() if isinstance(what, str | Path) else None
    if path is None or (isinstance(what, str) and what in SOURCES):
        return _set(what, split)[0] if isinstance(what, str | Table) else open_data(what, split=split)
    if path.suffix.lower() in (".npy", ".npz") and path.is_file():
        stated = kind or _stated_kind(path)
        return read_arrays(path, split) if stated in (None, "images") else read_table(path, split, stated)
    if kind not in (None, "images"):
        raise UsageError(f"{path} is not an .npy or .npz file, so its kind cannot be chosen; leave out kind")
    return open_store(path) if is_store(path) else open_data(path, split=split)


def _stated_kind(path: Path) -> str | None:
    """The kind that an ``.npz`` states."""
    try:
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                return None
        with np.load(path, allow_pickle=False) as arrays:
            return str(arrays["kind"]) if "kind" in arrays.files else None
    except (OSError, ValueError, zipfile.BadZipFile):  # the reader says what is wrong
        return None


def _set(what: str | Table, split: str) -> tuple[Table, bool]:
    """A set that is open or has a name, and whether it is to be padded rather than enlarged."""
    if isinstance(what, Table):
        return what, False
    source = SOURCES[what]
    check_split(what, split, source.splits)
    return source.read(split), source.padded


def _read(what: What, size: int | None, channels: int | None, split: str, strict: bool) -> tuple[Images, bool]:
    """The images, and whether they are to be padded rather than enlarged."""
    side = size or FOLDER_SIZE
    if isinstance(what, Table) or (isinstance(what, str) and what in SOURCES):
        table, padded = _set(what, split)
        return _images(table), padded
    if not isinstance(what, str | Path):
        if not is_rows(what):
            raise UsageError(
                f"data of type {type(what).__name__} cannot be opened; give a name, a path, ornstein.data.Images, or an "
                "object of the datasets library (not a streaming one: load it without streaming=True)"
            )
        pictures = row_pictures(what, split)
        return decode_once(pictures, side, channels, strict)[0], False
    path = Path(what).expanduser()
    ending = path.suffix.lower()
    if ending == ".tar":
        _whole(path, split)
        return decode_once(tar_pictures(what), side, channels, strict)[0], False
    if not path.exists():
        raise DataError(
            f"unknown data '{what}': no data set of that name ({suggest(str(what), SOURCES)}) and no such file or folder"
        )
    if not path.is_dir():
        if ending in (".npy", ".npz"):
            return read_arrays(path, split), False
        if ending == ".zip":
            return decode_once(zip_pictures(path, split), side, channels, strict)[0], False
        if ending == ".parquet":
            return decode_once(parquet_pictures(path, split), side, channels, strict)[0], False
        if is_idx(path):
            _whole(path, split)
            return read_idx_images(path), False
        raise DataError(
            f"{path} is no data that can be read; give a folder of pictures, or a .zip, .tar, .parquet, .npy, .npz or IDX file"
        )
    if is_store(path):
        _whole(path, split)
        return _images(open_store(path)), False
    if fashion_mnist.complete(path):
        check_split(str(path), split, SOURCES["fashion-mnist"].splits)
        return fashion_mnist.read_any(path, split), SOURCES["fashion-mnist"].padded
    endings = {entry.suffix.lower() for entry in visible(path)}
    if ".parquet" in endings:
        return decode_once(parquet_pictures(path, split), side, channels, strict)[0], False
    if ".tar" in endings and not {entry for entry in visible(path) if entry.is_dir()}:
        _whole(path, split)
        return decode_once(tar_pictures(path), side, channels, strict)[0], False
    return decode_once(folder_pictures(_part(path, split)), side, channels, strict)[0], False


def _images(table: Table) -> Images:
    """The set, if it is one of images."""
    if isinstance(table, Images):
        return table
    raise DataError(
        f"'{table.name}' holds {table.kind} of shape {tuple(table.x.shape[1:])}, no images; "
        "open it with ornstein.data.open_table"
    )


def _whole(path: Path, split: str) -> None:
    """Refuse a split of data that has none."""
    if split != "train":
        raise DataError(f"{path} has no split '{split}'; give the data of that split itself")


def _part(folder: Path, split: str) -> Path:
    """The sub-folder of a split, where a folder's only sub-folders are splits; else the folder itself."""
    inside = {entry.name for entry in visible(folder) if entry.is_dir()}
    if "train" in inside and inside <= set(SPLITS):
        check_split(str(folder), split, tuple(sorted(inside)))
        return folder / split
    if split != "train":
        raise DataError(f"{folder} has no split '{split}'; put the pictures in its sub-folders 'train' and '{split}'")
    return folder
