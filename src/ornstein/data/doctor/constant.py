"""Samples that never change: silence, flat series, all points in one place."""

from __future__ import annotations

import numpy as np

from ornstein.core.finding import Finding, error, ok, warning
from ornstein.data.dataset import PART, Table


def check(table: Table) -> Finding:
    """Count the samples of which every number is the first one."""
    found = []
    for start in range(0, len(table), PART):
        part = np.asarray(table.x[start : start + PART]).reshape(min(PART, len(table) - start), -1)
        found.append(start + np.flatnonzero((part == part[:, :1]).all(1)))
    flat = np.concatenate(found)
    if not len(flat):
        return ok("constant samples", "none")
    some = ", ".join(map(str, flat[:5].tolist())) + (", ..." if len(flat) > 5 else "")
    what = f"{len(flat)} of {len(table)} {table.kind} never change (samples {some})"
    if len(flat) == len(table):
        return error("constant samples", what, "look at the data and at how they were converted")
    return warning("constant samples", what, "remove them, unless they are meant: the model will draw them as often")
