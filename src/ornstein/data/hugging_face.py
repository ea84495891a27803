"""Objects of the Hugging Face ``datasets`` library, known by their behaviour: the library is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from ornstein.core.errors import DataError, suggest
from ornstein.data.columns import captions_of, labels_of, pick
from ornstein.data.decode import Encoded, Unreadable
from ornstein.data.pictures import Collection


@runtime_checkable
class Rows(Protocol):
    """What a ``datasets.Dataset`` can do: rows by number, columns by name, features that describe them."""

    column_names: Any
    features: Any

    def __len__(self) -> int: ...
    def __getitem__(self, key: Any) -> Any: ...


def is_rows(data: object) -> bool:
    """Whether this is such an object, or a mapping from splits to them."""
    return isinstance(data, Rows) or (isinstance(data, Mapping) and all(isinstance(v, Rows) for v in data.values()))


def row_pictures(data: Any, split: str = "train") -> Collection:
    """The pictures of a data set; of the split, where it is a ``DatasetDict``."""
    if isinstance(data, Mapping):
        if split not in data:
            raise DataError(f"the data set has no split '{split}': {suggest(split, map(str, data))}")
        data = data[split]
    elif split != "train":
        raise DataError(f"the data set is one split, not '{split}'; give the DatasetDict, or that split itself")
    features: Mapping[str, Any] = data.features
    name = str(getattr(getattr(data, "info", None), "dataset_name", None) or "rows")
    pictures = [n for n, feature in features.items() if type(feature).__name__ == "Image"]
    column = pictures[0] if len(pictures) == 1 else pick(pictures or features, "image")
    if column is None:
        listed = ", ".join(f"{n} ({type(feature).__name__})" for n, feature in features.items())
        raise DataError(f"'{name}' has no one column of pictures: {listed}; rename the column to 'image'")
    others = [n for n in features if n != column]
    label, text = pick(others, "label"), pick(others, "text")
    labels, classes = (
        labels_of(list(data[label]), tuple(getattr(features[label], "names", None) or ()), name)
        if label
        else (None, ())
    )
    stamp = str(getattr(data, "_fingerprint", "") or "")  # the library's own, of data and of what was done to it

    def read(i: int) -> Encoded:
        value = data[i][column]
        if isinstance(value, dict):
            value = value.get("bytes")
        if isinstance(value, np.ndarray | list):
            value = Image.fromarray(np.asarray(value, dtype=np.uint8))
        if value is None:
            raise Unreadable("the row has no picture")
        encoded: Encoded = value
        return encoded

    return Collection(
        name=name,
        source=f"datasets {name}",
        names=[f"{name}, row {i}" for i in range(len(data))],
        read=read,
        stamps=lambda: [f"{len(data)} {stamp} {name}"] if stamp else [],
        labels=labels,
        classes=classes,
        captions=captions_of(list(data[text])) if text else None,
    )
