"""Jensen-Shannon divergence between where two sets of clouds have their points. Achlioptas et al. 2018, 1707.02392."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ornstein.core.errors import UsageError

MOST_CELLS = 2**24


def occupancy(clouds: Sequence[Tensor], low: Tensor, side: float, cells: int) -> Tensor:
    """How many points each cell of a cube holds, ``[N, cells^D]``; points beyond the cube count in its outermost cells."""
    dims = len(low)
    if cells < 1 or cells**dims > MOST_CELLS:
        raise UsageError(f"{cells} cells in each of {dims} dimensions: take at least 1 and at most {MOST_CELLS} in all")
    powers = cells ** torch.arange(dims)
    rows = []
    for x in clouds:
        index = ((x - low) / side * cells).floor().long().clamp(0, cells - 1)
        rows.append(torch.bincount((index * powers).sum(1), minlength=cells**dims))
    return torch.stack(rows)


def cube(clouds: Sequence[Tensor]) -> tuple[Tensor, float]:
    """Lower corner and side of the smallest axis-parallel cube around all points; side 1 where they are one point."""
    points = torch.cat(list(clouds))
    low, high = points.min(0).values, points.max(0).values
    side = float((high - low).max())
    side = side if side > 0 else 1.0
    return (low + high) / 2 - side / 2, side


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    r"""H((p + q) / 2) - (H(p) + H(q)) / 2 in bits, in [0, 1], of counts that are normalised first."""
    p, q = (x.double().flatten() / x.sum() for x in (p, q))

    def entropy(x: Tensor) -> Tensor:
        return -torch.special.xlogy(x, x).sum()

    return max(
        0.0, float((entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2) / torch.log(torch.tensor(2.0).double()))
    )
