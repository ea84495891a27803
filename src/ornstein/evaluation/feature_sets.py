"""Frechet distances between sets of anything that an extractor turns into rows of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
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


def name_of(function: object) -> str:
    """What a record calls a plug-in."""
    return str(getattr(function, "name", getattr(function, "__name__", type(function).__name__)))


def plug_in(extractor: object) -> dict[str, str]:
    """What a record says of an extractor: its name, and its hash where it has one."""
    hashed = getattr(extractor, "hash", "")
    return {"extractor": name_of(extractor)} | ({"extractor_hash": str(hashed)[:12]} if hashed else {})


def imported(text: str) -> Callable[..., Any]:
    """The function that ``package.module:function`` names.

    Raises:
        UsageError: another form, no such module, nothing in it that can be called by that name.
    """
    module, colon, attribute = text.partition(":")
    if not colon or not module or not attribute:
        raise UsageError(f"a function is named as package.module:function, got '{text}'")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as e:
        raise UsageError(f"cannot import '{text}' ({e}); is it installed, or on PYTHONPATH?") from e
    if not callable(found):
        raise UsageError(f"'{text}' cannot be called")
    function: Callable[..., Any] = found
    return function


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
