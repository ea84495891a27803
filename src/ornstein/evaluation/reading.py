"""Files of items: those of a folder by name, and the arrays of an NPZ."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from ornstein.core.errors import DataError


def files_of(path: Path, suffixes: tuple[str, ...], item: str) -> list[Path]:
    """The file itself, or a folder's files with one of the suffixes, sorted by name.

    Raises:
        DataError: no such path; a folder without such files; a file of another kind.
    """
    if not path.exists():
        raise DataError(f"there is no {path}")
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes and p.is_file())
        if not found:
            raise DataError(f"{path} holds no {item}: no file ends in {', '.join(suffixes)}")
        return found
    if path.suffix.lower() not in suffixes:
        raise DataError(f"{path} is no {item}: its name must end in {', '.join((*suffixes, '.npz'))}")
    return [path]


@final
@dataclass(frozen=True)
class Stored:
    """The array of items in an NPZ, and what lies beside it."""

    path: Path
    main: np.ndarray
    others: dict[str, np.ndarray]

    def per_item(self, name: str, count: int, default: np.ndarray) -> np.ndarray:
        """An array with an entry for each item, or ``default`` where the file has none."""
        found = self.others.get(name, default)
        if len(np.atleast_1d(found)) != count:
            raise DataError(f"{self.path}: '{name}' has {len(np.atleast_1d(found))} entries for {count} items")
        return np.atleast_1d(found)


def arrays_of(path: Path, names: tuple[str, ...]) -> Stored:
    """The first array of those names (or the only array), without pickles.

    Raises:
        DataError: no such file, torn, no such array, an array of objects.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
        raise DataError(f"cannot read {path}: {e}") from e
    found = next((name for name in (*names, "arr_0") if name in arrays), None)
    if found is None:
        raise DataError(f"{path} has the arrays {', '.join(arrays) or '(none)'}; name the items '{names[0]}'")
    return Stored(path, arrays.pop(found), arrays)
