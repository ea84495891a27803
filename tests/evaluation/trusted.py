"""What a comparison with a trusted implementation is; the agreement modules hold rows of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-4
"""Relative, of every number."""

Numbers = Sequence[float]


@dataclass(frozen=True)
class Row:
    """``both()`` gives our numbers and theirs, of the same input."""

    metric: str
    trusted: str
    both: Callable[[], tuple[Numbers, Numbers]]

    def difference(self) -> float:
        """The largest relative difference."""
        ours, theirs = (np.asarray(v, dtype=np.float64) for v in self.both())
        assert ours.shape == theirs.shape and ours.size and np.isfinite(ours).all() and (theirs != 0).all()
        return float(np.max(np.abs(ours - theirs) / np.abs(theirs)))
