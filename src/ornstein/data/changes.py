"""Say what is different between two versions of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ornstein.data.dataset import PART, Table
from ornstein.data.decoded import earlier, stamps_of

_NAMED = 3


def since(prefix: str, now: Table) -> str | None:
    """What has changed since the version whose content hash began with ``prefix``; None if the cache has that no more."""
    before = earlier(prefix)
    return None if before is None else what_changed(before, now)


def what_changed(before: Table, now: Table) -> str:
    """``"1 file added (c.png); 2 files changed (a.png, b.png); labels differ"``; empty where nothing did."""
    found = _files(stamps_of(before), stamps_of(now))
    if before.kind != now.kind:
        return f"it held {before.kind}, now {now.kind}"
    if before.x.shape[1:] != now.x.shape[1:]:
        found.append(f"shape was {tuple(before.x.shape[1:])}, is {tuple(now.x.shape[1:])}")
    elif not found and before.part_hashes["x"] != now.part_hashes["x"]:
        found += _rows(before.x, now.x)
    if before.classes != now.classes:
        gone = sorted(set(before.classes) - set(now.classes))
        new = sorted(set(now.classes) - set(before.classes))
        found += [
            f"{_count(names, 'class', 'classes')} {what}"
            for names, what in ((new, "added"), (gone, "removed"))
            if names
        ]
        if not gone and not new:
            found.append("the classes are in another order")
    if len(before) == len(now) and before.x.shape == now.x.shape:
        mine, theirs = now.part_hashes, before.part_hashes
        names = sorted({*mine, *theirs} - {"x", "caption_ends"})
        found += [f"{name.removeprefix('cond-')} differ" for name in names if mine.get(name) != theirs.get(name)]
    return "; ".join(found)


def _files(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Files that came, went or have another size or time."""
    if not before or not now:
        return []
    kinds = {
        "added": sorted(now.keys() - before.keys()),
        "removed": sorted(before.keys() - now.keys()),
        "changed": sorted(name for name in before.keys() & now.keys() if before[name] != now[name]),
    }
    return [f"{_count(names, 'file', 'files')} {what}" for what, names in kinds.items() if names]


def _rows(before: np.ndarray, now: np.ndarray) -> list[str]:
    """Which samples differ, by number."""
    if len(before) != len(now):
        return [f"{len(before)} samples before, {len(now)} now"]
    numbers: list[int] = []
    for start in range(0, len(now), PART):
        a, b = before[start : start + PART], now[start : start + PART]
        wrong = a.view(np.uint8) != b.view(np.uint8) if a.dtype == b.dtype else np.ones(a.shape, bool)
        numbers += (start + np.flatnonzero(wrong.reshape(len(a), -1).any(1))).tolist()
    return [f"{_count([str(i) for i in numbers], 'sample', 'samples')} changed"] if numbers else []


def _count(names: Sequence[str], one: str, many: str) -> str:
    """``"5 files (a, b, c and 2 more)"``."""
    more = len(names) - _NAMED
    listed = ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{len(names)} {one if len(names) == 1 else many} ({listed})"
