"""Frechet distances between sets of anything that an extractor turns into rows of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.bias import judge_size
from ornstein.evaluation.frechet import GaussianStatistics, frechet_distance
from ornstein.evaluation.modality import C, Given, Measure

I = TypeVar("I")  # noqa: E741 - an item


def rows_of(items: Sequence[I], extractor: Callable[[I], Tensor], what: str) -> list[Tensor]:
    """Features ``[M_i, D]`` of each item.

    Raises:
        DataError: another shape, or numbers that are not finite (names the item).
    """
    rows = [extractor(item) for item in items]
    for i, row in enumerate(rows):
        if row.ndim != 2 or row.shape[1] != rows[0].shape[1] or not len(row):
            raise DataError(
                f"{what} {i}: the extractor must give rows [M, {rows[0].shape[-1]}], got {tuple(row.shape)}"
            )
        if not bool(torch.isfinite(row).all()):
            raise DataError(f"{what} {i}: the features hold NaN or infinity; the item or the extractor is broken")
    return rows


def plug_in(extractor: object) -> dict[str, str]:
    """What a record says of a plug-in: its name, and its hash where it has one."""
    name = getattr(extractor, "name", getattr(extractor, "__name__", type(extractor).__name__))
    hashed = getattr(extractor, "hash", "")
    return {"extractor": str(name)} | ({"extractor_hash": str(hashed)[:12]} if hashed else {})


def frechet_of(
    name: str,
    about: str,
    extractor: Callable[[I], Tensor],
    items: Callable[[C], Sequence[I]],
    protocol: Mapping[str, Any] | None = None,
) -> Measure[C]:
    """A Frechet distance of the rows that ``extractor`` gives for each of ``items(collection)``."""

    def compute(x: Given[C]) -> dict[str, float]:
        mine = x.once(f"{name} samples", lambda: rows_of(items(x.every_sample), extractor, "sample"))
        theirs = x.once(f"{name} reference", lambda: rows_of(items(x.reference), extractor, "reference"))
        chosen = range(len(mine)) if x.index is None else x.index.tolist()
        a, b = torch.cat([mine[i] for i in chosen]), torch.cat(theirs)
        if a.shape[1] != b.shape[1]:
            raise DataError(f"{name}: features of {a.shape[1]} and of {b.shape[1]} dimensions; use one extractor")
        p, q = (GaussianStatistics(a.shape[1]).add(v) for v in (a, b))
        if x.index is None and (warning := judge_size(name, len(a), len(b), a.shape[1], q.cov)):
            x.warn(warning)
        return {name: frechet_distance(p.mean, p.cov, q.mean, q.cov)}

    return Measure(name, about, {name: "lower"}, compute, least=2, protocol={**plug_in(extractor), **(protocol or {})})
