"""Read images from ``.npy`` and ``.npz`` files, or take them from an array."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError, suggest
from ornstein.data.dataset import Images

_IMAGES = ("x", "images", "arr_0")
_LABELS = ("y", "labels", "label", "arr_1")
_PART = 1024  # images converted at a time: bounds memory
_SLACK = 1e-3  # how far rounding may take floats beyond their range


def read_arrays(path: Path, split: str = "train") -> Images:
    """Images, and in an ``.npz`` also labels and class names.

    ``.npy``: the images, memory-mapped: uint8 of either layout is never read as a whole. ``.npz``: images named x,
    images or arr_0; labels, if any, y, labels, label or arr_1; class names, if any, classes. With a split,
    ``x_train``, ``y_test`` and so on go before these.
    """
    arrays = load_arrays(path)
    if isinstance(arrays, np.ndarray):
        return from_array(arrays, path.stem, source=str(path))
    if "kind" in arrays and str(arrays["kind"]) != "images":
        raise DataError(f"{path} holds {arrays['kind']}, no images; open it with ornstein.data.open_table")
    splits = split_of(arrays, path, split)
    x = first_of(arrays, (f"x_{split}",) if splits else _IMAGES)
    if x is None:
        raise DataError(
            f"{path} has the arrays {', '.join(arrays) or '(none)'}; name the images 'x' and the labels 'y'"
        )
    classes = tuple(str(name) for name in arrays["classes"].tolist()) if "classes" in arrays else None
    return from_array(x, path.stem, first_of(arrays, (f"y_{split}",) if splits else _LABELS), classes, str(path))


def from_array(
    x: np.ndarray,
    name: str = "array",
    labels: np.ndarray | None = None,
    classes: tuple[str, ...] | None = None,
    source: str = "",
) -> Images:
    """Images of an array ``[N, C, H, W]``, ``[N, H, W, C]`` or ``[N, H, W]``, with 1 or 3 channels.

    Integers must lie in 0..255; floats in [0, 1] or, if any is negative, in [-1, 1]. Without ``classes``, they are the
    numbers from 0 to the largest label.
    """
    x = _bytes(_channelsfirst_of(x, name), name)
    if labels is not None:
        labels = np.asarray(labels)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if classes is None and labels.size and np.issubdtype(labels.dtype, np.integer):
            classes = tuple(str(i) for i in range(int(labels.max()) + 1))
    return Images(x, labels, classes or (), name, source)


def split_of(arrays: dict[str, np.ndarray], path: Path, split: str) -> list[str]:
    """The splits of an archive (empty: it is not split); refuses one that it does not have."""
    splits = sorted(name.removeprefix("x_") for name in arrays if name.startswith("x_"))
    if splits and split not in splits:
        raise DataError(f"{path} has no split '{split}': {suggest(split, splits)}")
    if not splits and split != "train":
        raise DataError(f"{path} has no split '{split}'; name its arrays x_train, y_train, x_{split}, y_{split}")
    return splits


def load_arrays(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """A memory map of the one array, or all arrays of an archive, as the contents are, whatever the file's ending."""
    if not path.is_file():
        raise DataError(f"no file {path}; check the path")
    try:
        with path.open("rb") as file:  # ours to close: numpy leaves it open when an archive is damaged
            if file.peek(2)[:2] == b"PK":
                with np.load(file, allow_pickle=False) as stored:
                    return {name: stored[name] for name in stored.files}
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "pickle" in str(error) or "Python objects" in str(error):
            raise DataError(
                f"{path} holds Python objects, or is no NumPy file; pickles are never read: save plain arrays with numpy.savez"
            ) from None
        raise DataError(f"{path} cannot be read as NumPy arrays ({error}); save it again with numpy.savez") from None


def first_of(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    """The first of these that the archive has."""
    return next((arrays[name] for name in names if name in arrays), None)


def _channelsfirst_of(x: np.ndarray, name: str) -> np.ndarray:
    """A view ``[N, C, H, W]``; which axis holds the channels must be plain from the shape."""
    shape = tuple(x.shape)
    if x.ndim == 3 and shape[2] not in (1, 3):
        return x[:, None]
    if x.ndim == 3:
        raise DataError(f"'{name}' has shape {shape}, which looks like one picture; add a first axis: x[None]")
    if x.ndim != 4:
        raise DataError(f"'{name}' has shape {shape}; expected [N, C, H, W], [N, H, W, C] or [N, H, W]")
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first and last:
        raise DataError(
            f"'{name}' has shape {shape}: either axis 1 or axis 3 may be the channels; "
            "give ornstein.data.Images(x) with x [N, C, H, W] to say so"
        )
    if not first and not last:
        raise DataError(
            f"'{name}' has shape {shape}: neither axis 1 nor axis 3 has 1 or 3 channels; "
            "convert to grey or RGB (put transparent pictures on a background)"
        )
    return x if first else np.moveaxis(x, 3, 1)


def _bytes(x: np.ndarray, name: str) -> np.ndarray:
    """uint8, converted part by part; what is uint8 already is not copied."""
    if x.dtype == np.uint8 or x.size == 0:
        return x.astype(np.uint8, copy=False)
    if x.dtype == np.bool_:
        return x.astype(np.uint8) * np.uint8(255)
    if x.dtype.kind not in "iuf":
        raise DataError(f"'{name}' holds {x.dtype}; expected bytes 0..255 or floats in [0, 1] or [-1, 1]")
    low, high = _range(x, name)
    floats = x.dtype.kind == "f"
    if not floats and low >= 0 and high <= 255:
        return x.astype(np.uint8)
    if floats and low >= -_SLACK and high <= 1 + _SLACK:
        scale, shift = 255.0, 0.0
    elif floats and low >= -1 - _SLACK and high <= 1 + _SLACK:
        scale, shift = 127.5, 127.5
    else:
        expected = "floats in [0, 1] or [-1, 1]" if floats else "integers in 0..255"
        raise DataError(
            f"'{name}' holds {x.dtype} from {low:g} to {high:g}; expected {expected}: rescale, or save as uint8 "
            "(if they are no pictures, open them with ornstein.data.open_table)"
        )
    out = np.empty(x.shape, dtype=np.uint8)
    for start in range(0, len(x), _PART):
        part = x[start : start + _PART].astype(np.float64)
        out[start : start + _PART] = np.rint(part * scale + shift).clip(0, 255)
    return out


def _range(x: np.ndarray, name: str) -> tuple[float, float]:
    """Smallest and largest value; NaN and infinity are counted and refused."""
    low, high, bad, where = np.inf, -np.inf, 0, ""
    for start in range(0, len(x), _PART):
        part = x[start : start + _PART]
        wrong = ~np.isfinite(part)
        if wrong.any():
            if not bad:
                image, *place = (int(i) for i in np.argwhere(wrong)[0])
                where = f"image {start + image} at (channel, row, column) {tuple(place)}"
            bad += int(wrong.sum())
        elif not bad:
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    if bad:
        raise DataError(
            f"'{name}' has {bad} values that are NaN or infinite, the first in {where}; remove or mend those images"
        )
    return low, high
