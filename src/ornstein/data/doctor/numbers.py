"""Do samples that are not images have finite numbers of a scale that can be trained on?"""

from __future__ import annotations

import numpy as np

from ornstein.core.finding import Finding, error, ok, warning
from ornstein.data.dataset import PART, Table

FAR = 8.0
"""Standard deviations above this, or below its inverse, or means that many standard deviations from 0, are far off."""


def check(table: Table) -> Finding:
    """Count what is not finite; mean and standard deviation of the rest. Tokens and bytes are what they are."""
    if not np.issubdtype(table.x.dtype, np.floating):
        return ok("numbers", f"{table.x.dtype}")
    bad, count, total, squares = 0, 0, 0.0, 0.0
    where = -1
    for start in range(0, len(table), PART):
        part = np.asarray(table.x[start : start + PART], dtype=np.float64)
        good = np.isfinite(part)
        if not good.all():
            if where < 0:
                where = start + int(np.flatnonzero(~good.reshape(len(part), -1).all(1))[0])
            bad += int((~good).sum())
        count += int(good.sum())
        total, squares = total + float(part[good].sum()), squares + float((part[good] ** 2).sum())
    if bad:
        return error(
            "numbers", f"{bad} are NaN or infinite, the first in sample {where}", "remove or mend those samples"
        )
    mean = total / count
    std = max(squares / count - mean**2, 0.0) ** 0.5
    if std > FAR or std < 1 / FAR or abs(mean) > FAR * std:
        return warning(
            "numbers",
            f"mean {mean:.3g} and standard deviation {std:.3g}, where processes and networks expect about 0 and 1",
            f"subtract {mean:.3g} and divide by {std:.3g}" if std else "all numbers are equal: look at the data",
        )
    return ok("numbers", f"finite, mean {mean:.3g} and standard deviation {std:.3g}")
