"""Pictures in a column of Parquet files, as the Hugging Face hub keeps them. Needs ``pip install 'ornstein[parquet]'``."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from ornstein.core.errors import DataError
from ornstein.data.archive import SPLITS
from ornstein.data.columns import captions_of, labels_of, pick
from ornstein.data.decode import Unreadable
from ornstein.data.pictures import Collection

_GROUPS = 2  # row groups held in memory


def parquet_pictures(path: Path, split: str = "train") -> Collection:
    """The pictures of a file, or of the files of a folder whose names begin with the split's.

    The picture is a column of bytes, or of a structure that has ``bytes``; ``label``, ``text`` or ``caption`` lie beside it.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(f"{path} is a Parquet file, which needs pyarrow: pip install 'ornstein[parquet]'") from None
    files = _files(path, split)
    try:
        tables = [pq.ParquetFile(file, memory_map=True) for file in files]
    except Exception as error:  # pyarrow's errors derive from OSError, ValueError and its own base by turns
        raise DataError(f"{path} cannot be read as Parquet ({error}); make or download it again") from None
    schema = tables[0].schema_arrow
    for file, table in zip(files, tables, strict=True):
        if not table.schema_arrow.equals(schema):
            raise DataError(f"{file} has other columns than {files[0]}; give a folder of files of one set")
    column = _picture_column(schema, str(path))
    names = [n for n in schema.names if n != column]
    label, text = pick(names, "label"), pick(names, "text")
    columns = {n: [v for t in tables for v in t.read([n]).column(n).to_pylist()] for n in (label, text) if n}
    labels, classes = labels_of(columns.get(label), _class_names(schema, label), str(path)) if label else (None, ())
    places = [(t, g, r) for t, table in enumerate(tables) for g, r in _rows(table)]
    groups = _Groups(tables, column)

    def read(i: int) -> bytes:
        t, group, row = places[i]
        value = groups.get(t, group)[row].as_py()
        contents = value.get("bytes") if isinstance(value, dict) else value
        if not contents:
            raise Unreadable("the row has no picture")
        return bytes(contents)

    return Collection(
        name=path.stem,
        source=str(path),
        names=[f"{path}, row {i}" for i in range(len(places))],
        read=read,
        stamps=lambda: [f"{f.stat().st_size} {f.stat().st_mtime_ns} {f.name}" for f in files],
        labels=labels,
        classes=classes,
        captions=captions_of(columns.get(text)) if text else None,
    )


def _files(path: Path, split: str) -> list[Path]:
    if not path.is_dir():
        if split != "train":
            raise DataError(
                f"{path} is one file and has no split '{split}'; give the folder, or the file of that split"
            )
        return [path]
    files = sorted(path.rglob("*.parquet"))
    split_of = {f: next((s for s in SPLITS if f.name.startswith(s) or f.parent.name == s), None) for f in files}
    known = {s for s in split_of.values() if s}
    if known and split not in known:
        raise DataError(f"{path} has no split '{split}'; it has {', '.join(sorted(known))}")
    if not known and split != "train":
        raise DataError(f"{path} has no split '{split}'; name its files {split}-*.parquet")
    return [f for f in files if not known or split_of[f] == split]


def _picture_column(schema: Any, path: str) -> str:
    import pyarrow as pa

    def holds_bytes(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    found = [field.name for field in schema if holds_bytes(field.type)]
    if (named := pick(found, "image")) is not None:
        return named
    if len(found) == 1:
        return found[0]
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise DataError(
        f"{path} has {len(found) or 'no'} columns that may hold pictures: {columns}; call one 'image', of binary type or a "
        "structure with 'bytes', that holds the contents of PNG or JPEG files"
    )


def _class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """What the Hugging Face library writes about a label column."""
    try:
        about = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]
        return tuple(str(name) for name in about["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _rows(table: Any) -> list[tuple[int, int]]:
    """Row group and place in it of each row."""
    about = table.metadata
    return [(g, r) for g in range(about.num_row_groups) for r in range(about.row_group(g).num_rows)]


class _Groups:
    """Row groups of the picture column; the latest are kept, and one thread reads at a time."""

    def __init__(self, tables: list[Any], column: str):
        self.tables, self.column = tables, column
        self.kept: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, table: int, group: int) -> Any:
        with self.lock:
            key = (table, group)
            if key not in self.kept:
                self.kept[key] = self.tables[table].read_row_group(group, [self.column]).column(0)
                if len(self.kept) > _GROUPS:
                    self.kept.popitem(last=False)
            return self.kept[key]
