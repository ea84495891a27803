"""A set of samples in a folder of plain arrays: written once, opened as memory maps, shared by every process.

``meta.json`` (kind, classes, licence, and type, shape and SHA-256 of each array), ``x.npy``, and where there are such:
``labels.npy``, ``captions.npy``, ``caption_ends.npy``, ``cond-NAME.npy``. Opening reads ``meta.json`` and maps the
arrays, whatever their size; :func:`verify` reads them all and compares the hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data.cache import written_aside
from ornstein.data.captions import Captions
from ornstein.data.dataset import Arrays, Images, Table, array_hash, trailer

FORMAT = 1
META = "meta.json"
_PART = 4096  # rows that are copied at a time


def is_store(folder: Path) -> bool:
    """Whether a folder is a stored set."""
    return (folder / META).is_file() and (folder / "x.npy").is_file()


def save_store(table: Table, folder: Path) -> Path:
    """Write a set to a folder that does not exist yet; whole or not at all."""
    if folder.exists():
        raise DataError(f"{folder} exists already; choose another folder, or remove it")
    with written_aside(folder) as aside:
        write_parts(table, aside)
    return folder


def write_parts(table: Table, folder: Path) -> None:
    """The files of a set, into an existing folder."""
    writer = Writer(folder)
    conds = dict(table.conds)
    for start in range(0, len(table), _PART):
        rows = slice(start, start + _PART)
        writer.add(
            table.x[rows],
            None if table.labels is None else table.labels[rows],
            None if table.captions is None else table.captions[rows],
            {name: value[rows] for name, value in conds.items()},
        )
    writer.finish(table.kind, table.name, table.classes, table.source, table.licence, table.rate, table.symbols)


def open_store(folder: Path) -> Images | Arrays:
    """The set of a folder, memory-mapped."""
    meta = read_meta(folder)
    parts = {name: _map(folder, name, about) for name, about in meta["arrays"].items()}
    captions = Captions(parts["captions"], parts["caption_ends"]) if "captions" in parts else None
    common: dict[str, Any] = {
        "x": parts["x"],
        "labels": parts.get("labels"),
        "classes": tuple(meta["classes"]),
        "name": meta["name"],
        "source": meta["source"],
        "licence": meta["licence"],
        "captions": captions,
        "conds": {name.removeprefix("cond-"): part for name, part in parts.items() if name.startswith("cond-")},
        "stored": folder,
        "digests": {name: about["sha256"] for name, about in meta["arrays"].items()},
    }
    if meta["kind"] == "images":
        return Images(**common)
    return Arrays(**common, of=meta["kind"], hertz=meta["rate"], alphabet=tuple(meta["alphabet"]))


def verify(folder: Path) -> None:
    """Read every array of a stored set and compare it with its hash."""
    for name, about in read_meta(folder)["arrays"].items():
        found = array_hash(_map(folder, name, about))
        if found != about["sha256"]:
            raise DataError(
                f"{folder / f'{name}.npy'} is damaged: its hash is {found[:12]}, it was written with "
                f"{about['sha256'][:12]}; remove the folder {folder}, and it is made again"
            )


def read_meta(folder: Path) -> dict[str, Any]:
    """What a stored set says of itself."""
    try:
        meta: dict[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder} is no stored set: it has no {META}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / META} cannot be read ({error}); remove the folder, and it is made again") from None
    if meta.get("format") != FORMAT:
        raise DataError(
            f"{folder} is a stored set of format {meta.get('format')}, this version reads {FORMAT}; "
            "remove the folder, and it is made again"
        )
    return meta


def _map(folder: Path, name: str, about: Mapping[str, Any]) -> np.ndarray:
    path = folder / f"{name}.npy"
    try:
        array: np.ndarray = np.load(path, mmap_mode="r" if np.prod(about["shape"]) else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); remove the folder {folder}, and it is made again") from None
    if list(array.shape) != about["shape"] or array.dtype.str != about["dtype"]:
        raise DataError(
            f"{path} holds {array.dtype} of shape {tuple(array.shape)}, but {META} says {about['dtype']} of shape "
            f"{tuple(about['shape'])}; remove the folder {folder}, and it is made again"
        )
    return array


@final
class Writer:
    """Writes a set part by part: nothing is held in memory, and the number of samples need not be known."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.count = 0
        self._files: dict[str, _Growing] = {}
        self._end = 0  # bytes of captions so far

    def add(
        self,
        x: np.ndarray,
        labels: np.ndarray | None = None,
        captions: list[str] | None = None,
        conds: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Some more samples ``[B, ...]``; what the first part has, all must have."""
        parts = {"x": x}
        if labels is not None:
            parts["labels"] = np.asarray(labels, dtype=np.int64)
        if captions is not None:
            some = Captions.of(captions)
            parts |= {"captions": some.texts, "caption_ends": some.ends + self._end}
            self._end += len(some.texts)
        parts |= {f"cond-{name}": value for name, value in (conds or {}).items()}
        if not self._files:
            self._files = {
                name: _Growing(self.folder / f"{name}.npy", part.dtype, part.shape[1:]) for name, part in parts.items()
            }
        if set(parts) != set(self._files):
            raise ValueError(f"the first samples came with {sorted(self._files)}, these with {sorted(parts)}")
        for name, part in parts.items():
            self._files[name].add(part)
        self.count += len(x)

    def finish(
        self,
        kind: str,
        name: str,
        classes: tuple[str, ...] = (),
        source: str = "",
        licence: str = "",
        rate: float = 0.0,
        alphabet: tuple[str, ...] = (),
        made_from: Mapping[str, Any] | None = None,
    ) -> None:
        """Close the arrays and write ``meta.json``; ``made_from`` is kept beside the rest, for later comparison."""
        meta = {
            "format": FORMAT,
            "kind": kind,
            "name": name,
            "source": source,
            "licence": licence,
            "classes": list(classes),
            "rate": rate,
            "alphabet": list(alphabet),
            "count": self.count,
            "arrays": {name: file.close() for name, file in self._files.items()},
            **({"made_from": dict(made_from)} if made_from else {}),
        }
        (self.folder / META).write_text(json.dumps(meta, indent=1, ensure_ascii=False), encoding="utf-8")

    def keep_channel(self, channel: int) -> None:
        """Keep one of the channels ``x[:, channel]``: pictures that all turned out to be grey."""
        whole = self._files["x"]
        path = Path(whole.file.name)
        whole.close()
        every = path.rename(path.with_suffix(".all"))
        stored = np.load(every, mmap_mode="r")
        self._files["x"] = _Growing(path, whole.dtype, (1, *whole.shape[1:]))
        for start in range(0, len(stored), _PART):
            self._files["x"].add(stored[start : start + _PART, channel : channel + 1])
        every.unlink()

    def close(self) -> None:
        """Close the files, whether the set was finished or not."""
        for file in self._files.values():
            file.file.close()


class _Growing:
    """One ``.npy`` file whose first axis grows: NumPy's header leaves room for the final length."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]):
        self.dtype, self.shape, self.count = dtype, shape, 0
        self.digest = hashlib.sha256()
        self.file: BinaryIO = path.open("w+b")
        self._header()

    def _header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self.file,
            {
                "descr": np.lib.format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": (self.count, *self.shape),
            },
        )

    def add(self, part: np.ndarray) -> None:
        if part.dtype != self.dtype or part.shape[1:] != self.shape:
            raise ValueError(f"expected {self.dtype} [B, {self.shape}], got {part.dtype} {part.shape}")
        values = np.ascontiguousarray(part).view(np.uint8).data if part.size else b""
        self.digest.update(values)
        self.file.write(values)
        self.count += len(part)

    def close(self) -> dict[str, Any]:
        """Write the true length; type, shape and hash."""
        start = self.file.tell() - self.count * int(np.prod(self.shape)) * self.dtype.itemsize
        self.file.seek(0)
        self._header()
        if self.file.tell() != start:
            raise RuntimeError(f"{self.file.name}: the header has grown from {start} to {self.file.tell()} bytes")
        self.file.close()
        shape = [self.count, *self.shape]
        self.digest.update(trailer(self.dtype, shape))
        return {"dtype": self.dtype.str, "shape": shape, "sha256": self.digest.hexdigest()}
