"""Molecules to be measured, as SMILES."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, final

from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.digests import digest_of
from ornstein.evaluation.reading import arrays_of, files_of

SUFFIXES = (".smi", ".smiles")


@final
class Molecules:
    """A set of SMILES; texts that are none belong to it, for that is what validity counts.

    Raises:
        DataError: none, or something that is no text.
    """

    def __init__(self, smiles: Sequence[str]):
        if len(smiles) == 0:
            raise DataError("there is no molecule to measure")
        for i, text in enumerate(smiles):
            if not isinstance(text, str):
                raise DataError(f"molecule {i} must be a SMILES text, got {type(text).__name__}")
        self.smiles = tuple(smiles)

    @property
    def content_hash(self) -> str:
        """Equal for equal texts in the same order."""
        return digest_of(self.smiles)

    @property
    def about(self) -> dict[str, Any]:
        """Nothing: a SMILES says all."""
        return {}

    def __len__(self) -> int:
        return len(self.smiles)

    def take(self, index: Tensor) -> Self:
        """Some of them."""
        return type(self)([self.smiles[i] for i in index.tolist()])


def read_molecules(path: Path) -> Molecules:
    """Lines of SMILES, what follows a space or tab being a name; an empty line is a SMILES that is not valid. Or an NPZ with
    ``smiles``.

    Raises:
        DataError: no such file, no line, another kind of file.
    """
    if path.suffix == ".npz":
        return Molecules([str(s) for s in arrays_of(path, ("smiles", "x")).main.ravel()])
    lines: list[str] = []
    for file in files_of(path, SUFFIXES, "file of SMILES"):
        try:
            lines += file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise DataError(f"cannot read {file}: {e}") from e
    if lines and lines[0].strip().lower() in ("smiles", "smiles name"):
        lines = lines[1:]
    if not lines:
        raise DataError(f"{path} is empty: it holds no SMILES")
    return Molecules([line.split(maxsplit=1)[0] if line.strip() else "" for line in lines])
