"""Read samples that are no pictures from ``.npy`` and ``.npz`` files: series, audio, video, points, tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError, UsageError, suggest
from ornstein.data.arrays import first_of, load_arrays, split_of
from ornstein.data.captions import Captions
from ornstein.data.dataset import DTYPES, KINDS, PART, Arrays

_SAMPLES = ("x", "data", "series", "audio", "video", "points", "arr_0")
_LABELS = ("y", "labels", "label", "arr_1")


def read_table(path: Path, split: str = "train", kind: str | None = None) -> Arrays:
    """Samples of one kind, with labels, class names, captions, rate and lengths where an ``.npz`` has them.

    Names in an ``.npz``: x (or data, series, audio, video, points, arr_0); y or labels; classes; captions; rate; length;
    kind, which goes for ``kind`` where that is not given. With a split: x_train, y_test and so on.
    """
    arrays = load_arrays(path)
    if isinstance(arrays, np.ndarray):
        return Arrays(as_samples(arrays, path.stem), name=path.stem, source=str(path), of=_kind(kind, arrays, path))
    splits = split_of(arrays, path, split)
    suffix = f"_{split}" if splits else ""
    x = first_of(arrays, tuple(f"{name}{suffix}" for name in _SAMPLES))
    if x is None:
        raise DataError(
            f"{path} has the arrays {', '.join(arrays) or '(none)'}; name the samples 'x' and the labels 'y'"
        )
    labels = first_of(arrays, tuple(f"{name}{suffix}" for name in _LABELS))
    classes = tuple(map(str, arrays["classes"].tolist())) if "classes" in arrays else ()
    if labels is not None and not classes and labels.size and labels.dtype.kind in "iu":
        classes = tuple(str(i) for i in range(int(labels.max()) + 1))
    captions = arrays.get(f"captions{suffix}")
    length = arrays.get(f"length{suffix}")
    stated = str(arrays["kind"]) if kind is None and "kind" in arrays else kind
    return Arrays(
        as_samples(x, path.stem),
        labels,
        classes,
        path.stem,
        str(path),
        captions=None if captions is None else Captions.of(map(str, captions.tolist())),
        conds={} if length is None else {"length": length.astype(np.int64)},
        of=_kind(stated, x, path),
        hertz=float(arrays.get("rate", np.zeros(()))),
    )


def _kind(kind: str | None, x: np.ndarray, path: Path) -> str:
    if kind is not None:
        if kind not in KINDS:
            raise UsageError(f"unknown kind of data '{kind}': {suggest(kind, KINDS)}; pictures are Images")
        return kind
    listed = "; ".join(f"{name} [{', '.join(axes.split())}]" for name, axes in KINDS.items())
    raise DataError(
        f"{path} holds {x.dtype} of shape {tuple(x.shape)} and does not say what it is; give the kind "
        f"(kind='series', or an array 'kind' in the file): {listed}"
    )


def as_samples(x: np.ndarray, name: str) -> np.ndarray:
    """An array of one of the types that are kept; NaN and infinity are refused by place."""
    if x.dtype.kind not in "biuf":
        raise DataError(f"'{name}' holds {x.dtype}; expected numbers")
    if x.dtype.kind == "f":
        for start in range(0, len(x), PART):
            wrong = ~np.isfinite(x[start : start + PART])
            if wrong.any():
                place = tuple(int(i) for i in np.argwhere(wrong)[0])
                raise DataError(
                    f"'{name}' has values that are NaN or infinite, the first in sample {start + place[0]} at "
                    f"{place[1:]}; remove or mend those samples"
                )
    if x.dtype.name in DTYPES:
        return x
    if x.dtype == np.bool_:
        return x.astype(np.uint8)
    if x.dtype.kind == "f":
        return x.astype(np.float32)
    low, high = (int(x.min()), int(x.max())) if x.size else (0, 0)
    for name_of in ("uint8", "int16", "int32", "int64"):
        if np.iinfo(name_of).min <= low and high <= np.iinfo(name_of).max:
            return x.astype(name_of)
    raise DataError(f"'{name}' holds {x.dtype} up to {high}, more than 64 bits with a sign can hold")
