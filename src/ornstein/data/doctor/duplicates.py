"""Samples that are there more than once: a model learns those by heart first."""

from __future__ import annotations

import hashlib

import numpy as np

from ornstein.core.finding import Finding, ok, warning
from ornstein.data.dataset import Table


def first_of_each(table: Table) -> np.ndarray:
    """``[N]``: the index of the first sample with the same numbers, for every sample."""
    seen: dict[bytes, int] = {}
    out = np.empty(len(table), dtype=np.int64)
    for i in range(len(table)):
        out[i] = seen.setdefault(hashlib.blake2b(np.ascontiguousarray(table.x[i]).data, digest_size=16).digest(), i)
    return out


def check(table: Table) -> Finding:
    """Count the samples that repeat an earlier one."""
    first = first_of_each(table)
    again = np.flatnonzero(first != np.arange(len(table)))
    if not len(again):
        return ok("duplicates", "none")
    pairs = ", ".join(f"{i} = {first[i]}" for i in again[:3]) + (", ..." if len(again) > 3 else "")
    most = int(np.bincount(first).max())
    return warning(
        "duplicates",
        f"{len(again)} of {len(table)} {table.kind} repeat another ({pairs}), one of them {most} times in all",
        "keep one of each (take): a model memorises what it sees more often, and held-out "
        "samples that are also in the training set make scores too good",
    )
