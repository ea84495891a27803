"""Files of anything but images, read for ``ornstein evaluate``."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ornstein.core.errors import DataError, UsageError

SAMPLES = ("x", "samples", "series", "data", "scores", "masks", "arr_0")
REFERENCE = ("reference", "truth", "labels", "y", *SAMPLES)
"""Names of arrays, of what is measured and of what it is measured against: one file may hold both."""

TEXTS = ("text", "texts", "prediction", "predictions", "candidates", "hypothesis")
REFERENCES = ("reference", "references", "target", "targets", *TEXTS)
"""The same of fields of a line of JSON, and of columns of texts."""


def read(kind: str, path: Path, reference: bool, settings: Any) -> Any:
    """A file as the collection of that modality; ``reference`` says for which side.

    Raises:
        DataError: no such file, another format, nothing in it.
    """
    if kind in _OF_EVALUATION:
        module, name = _OF_EVALUATION[kind]
        return getattr(import_module(f"ornstein.evaluation.{module}"), name)(path)
    if not path.is_file():
        raise DataError(f"no file {path}; give a file of {kind}")
    return _READERS[kind](path, reference, settings)


def _refuse(path: Path, what: str, endings: str) -> DataError:
    return DataError(f"{path} ends with '{path.suffix}', and {what} are read from {endings}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"cannot read {path} as UTF-8 text ({e})") from e


def _rows(path: Path) -> list[list[str]]:
    rows = [row for row in csv.reader(_text(path).splitlines()) if row]
    if not rows:
        raise DataError(f"{path} has no rows")
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        bad = next(i for i, row in enumerate(rows) if len(row) != len(rows[0]))
        raise DataError(f"{path}: row {bad + 1} has {len(rows[bad])} cells and the first has {len(rows[0])}")
    return rows


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _matrix(path: Path) -> np.ndarray:
    """A CSV file of numbers, with a header or without."""
    rows = _rows(path)
    if all(_number(cell) is None for cell in rows[0]):
        rows = rows[1:]
    if not rows:
        raise DataError(f"{path} has a header and no rows")
    numbers = [[_number(cell) for cell in row] for row in rows]
    for i, row in enumerate(numbers):
        if None in row:
            raise DataError(f"{path}: row {i + 1} holds '{rows[i][row.index(None)]}', which is no number")
    return np.array(numbers, dtype=np.float64)


def _array(path: Path, reference: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The array for a side, and all arrays."""
    from ornstein.data.arrays import first_of, load_arrays

    found = load_arrays(path)
    if isinstance(found, np.ndarray):
        return found, {}
    x = first_of(found, REFERENCE if reference else SAMPLES)
    if x is None:
        names = ", ".join(REFERENCE if reference else SAMPLES)
        raise DataError(f"{path} has the arrays {', '.join(found) or '(none)'}; name one of them {names}")
    return x, found


def _tensor(x: np.ndarray, path: Path) -> Any:
    import torch

    if x.dtype.kind not in "biuf":
        raise DataError(f"{path} holds {x.dtype}; expected numbers")
    return torch.from_numpy(np.array(x, dtype=np.float64))


def _series(path: Path, reference: bool, settings: Any) -> Any:
    from ornstein.evaluation import Series

    if path.suffix == ".csv":
        return Series(_tensor(_matrix(path), path))
    if path.suffix not in (".npz", ".npy"):
        raise _refuse(path, "series", ".npz, .npy, and .csv with a series in each row")
    x, others = _array(path, reference)
    observed = others.get("observed")
    return Series(_tensor(x, path), None if observed is None else _tensor(observed, path).bool())


def _table(path: Path, reference: bool, settings: Any) -> Any:
    from ornstein.data.arrays import load_arrays
    from ornstein.evaluation import Table

    if path.suffix == ".npz":
        found = load_arrays(path)
        return Table(found if isinstance(found, dict) else {"x": found}, settings.categorical)
    if path.suffix != ".csv":
        raise _refuse(path, "tables", ".csv with a header, and .npz with a named array for each column")
    header, *rows = _rows(path)
    if len(set(header)) < len(header):
        raise DataError(f"{path}: two columns have the same name")
    if not rows:
        raise DataError(f"{path} has a header and no rows")
    columns: dict[str, np.ndarray] = {}
    for name, cells in zip(header, zip(*rows, strict=True), strict=True):
        numbers = [_number(cell) for cell in cells]
        known = None not in numbers and name not in settings.categorical
        columns[name] = np.array(numbers if known else cells)
    return Table(columns)


def _scores(path: Path, reference: bool, settings: Any) -> Any:
    from ornstein.evaluation import Scores

    if path.suffix in (".csv", ".txt"):
        table = _matrix(path)
        if table.shape[1] != 1:
            raise DataError(f"{path} has {table.shape[1]} columns; give one number in each row, or an .npz of masks")
        return Scores(_tensor(table[:, 0], path))
    if path.suffix not in (".npz", ".npy"):
        raise _refuse(path, "scores and masks", ".npz, .npy, and .csv or .txt with a number in each row")
    return Scores(_tensor(_array(path, reference)[0], path))


def _texts(path: Path, reference: bool, settings: Any) -> Any:
    from ornstein.evaluation import Texts

    names = REFERENCES if reference else TEXTS
    if path.suffix == ".txt":
        return Texts(_text(path).splitlines())
    if path.suffix == ".jsonl":
        lines = [line for line in _text(path).splitlines() if line.strip()]
        return Texts([_of_json(path, i, line, names) for i, line in enumerate(lines, 1)])
    if path.suffix == ".csv":
        header, *rows = _rows(path)
        column = next((header.index(name) for name in names if name in header), None)
        if column is None:
            raise DataError(f"{path} has the columns {', '.join(header)}; name one of them {', '.join(names)}")
        return Texts([row[column] for row in rows])
    raise _refuse(path, "texts", ".txt with a text in each line, .jsonl and .csv")


def _of_json(path: Path, number: int, line: str, names: Sequence[str]) -> str | list[str]:
    try:
        value = json.loads(line)
    except ValueError as e:
        raise DataError(f"{path}: line {number} is no JSON ({e})") from e
    if isinstance(value, dict):
        name = next((n for n in names if n in value), None)
        if name is None:
            raise DataError(f"{path}: line {number} has none of the fields {', '.join(names)}")
        value = value[name]
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(t, str) for t in value):
        return value
    raise DataError(f"{path}: line {number} holds neither a text nor a list of texts")


_READERS: dict[str, Callable[[Path, bool, Any], Any]] = {
    "series": _series,
    "tables": _table,
    "detection": _scores,
    "text": _texts,
}


_OF_EVALUATION = {
    "audio": ("audio", "read_clips"),
    "video": ("video", "read_videos"),
    "points": ("points", "read_clouds"),
    "voxels": ("voxels", "read_grids"),
    "molecules": ("molecules", "read_molecules"),
    "proteins": ("proteins", "read_chains"),
    "captions": ("captions.collection", "read_captioned"),
}
"""Files that are read by functions of their own, folders of them too."""

_ENDINGS = {
    ".txt": "text", ".jsonl": "text", ".csv": "tables", ".wav": "audio", ".xyz": "points", ".pts": "points",
    ".smi": "molecules", ".smiles": "molecules", ".pdb": "proteins", ".ent": "proteins",
    **dict.fromkeys((".mp4", ".webm", ".mkv", ".avi", ".mov"), "video"),
}  # fmt: skip
_IN_FOLDERS = ("audio", "video", "points", "molecules", "proteins")


def kind_of(path: Path) -> str | None:
    """The modality that a file's ending tells, or the endings in a folder; None where they do not."""
    if not path.is_dir():
        return _ENDINGS.get(path.suffix.lower())
    found = {_ENDINGS.get(p.suffix.lower()) for p in path.iterdir()} & set(_IN_FOLDERS)
    return found.pop() if len(found) == 1 else None


def require_known(kind: str) -> None:
    """Refuse a modality whose files are not read here."""
    if kind not in _READERS and kind not in _OF_EVALUATION:
        raise UsageError(f"files of {kind} are not read by this command; call ornstein.evaluation.measure on arrays")
