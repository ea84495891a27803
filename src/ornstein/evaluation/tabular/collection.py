"""Rows of a table to be measured: columns of numbers and of categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError, suggest
from ornstein.evaluation.digests import digest_of


@final
@dataclass(frozen=True)
class TableSettings:
    """What metrics of tables depend on; those that a metric uses are part of its protocol."""

    target: str = ""
    """the column that utility predicts"""
    bins: int = 10
    """of a column of numbers beside one of categories, in pair_trends"""
    seed: int = 0
    """of half-samples, splits and models"""


@final
class Table:
    """Columns by name, all of one length: arrays of numbers, or of texts, which are categories.

    ``categorical``: columns of numbers that are categories all the same.

    Raises:
        DataError: no columns or rows, columns of different lengths, NaN or infinity, something else than numbers and texts.
        UsageError: ``categorical`` names no column.
    """

    def __init__(self, columns: Mapping[str, np.ndarray | Sequence[Any]], categorical: Sequence[str] = ()):
        for name in categorical:
            if name not in columns:
                raise UsageError(f"the table has no column '{name}': {suggest(name, columns)}")
        self.columns = {name: _column(name, values, name in categorical) for name, values in columns.items()}
        lengths = {name: len(values) for name, values in self.columns.items()}
        if not lengths or 0 in lengths.values():
            raise DataError("the table has no rows" if lengths else "the table has no columns")
        if len(set(lengths.values())) > 1:
            raise DataError(f"the columns of a table have one length, and these have {lengths}")

    @property
    def numbers(self) -> list[str]:
        """Names of the columns of numbers."""
        return [name for name, values in self.columns.items() if values.dtype.kind == "f"]

    @property
    def categories(self) -> list[str]:
        """Names of the columns of categories."""
        return [name for name, values in self.columns.items() if values.dtype.kind != "f"]

    @property
    def content_hash(self) -> str:
        parts: list[Tensor | str] = []
        for name, values in self.columns.items():
            parts += [name, *([torch.from_numpy(values)] if values.dtype.kind == "f" else map(str, values))]
        return digest_of(parts)

    @property
    def about(self) -> dict[str, Any]:
        return {"numbers": ", ".join(self.numbers) or "none", "categories": ", ".join(self.categories) or "none"}

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, index: Tensor) -> Self:
        taken = {name: values[index.numpy()] for name, values in self.columns.items()}
        return type(self)(taken)


def _column(name: str, values: np.ndarray | Sequence[Any], categorical: bool) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"the column '{name}' must be of one dimension, got shape {array.shape}")
    if array.dtype.kind == "O" and all(isinstance(v, str) for v in array.tolist()):
        array = array.astype(str)
    if array.dtype.kind not in "biufU":
        raise DataError(f"the column '{name}' holds {array.dtype}; expected numbers or texts")
    if array.dtype.kind == "U":
        return array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise DataError(
            f"the column '{name}' holds NaN or infinity, first in row {row}; drop or fill such rows on both sides alike"
        )
    return np.array([f"{v:g}" for v in array.tolist()]) if categorical else array.astype(np.float64)


def require_same_columns(samples: Table, other: Table, name: str) -> None:
    """Refuse other columns, or other kinds of them.

    Raises:
        DataError: names the columns.
    """
    mine, theirs = samples.columns, other.columns
    if missing := sorted(set(theirs) - set(mine)) + sorted(set(mine) - set(theirs)):
        raise DataError(f"the samples and the {name} do not have the same columns; only one of them has {missing}")
    if different := [n for n in mine if (mine[n].dtype.kind == "f") != (theirs[n].dtype.kind == "f")]:
        raise DataError(
            f"columns that hold numbers on one side and texts on the other: {different}; mend the file, or name them in "
            "`categorical`"
        )
