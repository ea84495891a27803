"""Quality and diversity of sets of clouds from the distances between their members. Yang et al. 2019, 1906.12320."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ornstein.core.errors import DataError

Distance = Callable[[Tensor, Tensor], float]


def matrix(a: Sequence[Tensor], b: Sequence[Tensor] | None, distance: Distance) -> Tensor:
    """``[N, M]``; of a set to itself (``b`` None) symmetric, each pair computed once."""
    if b is not None:
        return torch.tensor([[distance(x, y) for y in b] for x in a], dtype=torch.float64)
    out = torch.zeros(len(a), len(a), dtype=torch.float64)
    for i in range(len(a)):
        for j in range(i):
            out[i, j] = out[j, i] = distance(a[i], a[j])
    return out


def minimum_matching(cross: Tensor) -> float:
    """MMD: mean over the reference of the distance to its nearest sample, from ``cross [samples, reference]``."""
    return float(cross.min(0).values.mean())


def coverage(cross: Tensor) -> float:
    """COV: share of the reference that is the nearest one of some sample."""
    return len(cross.argmin(1).unique()) / cross.shape[1]


def one_nearest(own: Tensor, cross: Tensor, other: Tensor) -> float:
    """1-NNA: leave-one-out accuracy of the nearest neighbour as a classifier of samples and reference; 1/2 is best.

    ``own [N, N]``, ``cross [N, M]``, ``other [M, M]``, N = M. Of neighbours at equal distance all count their share.

    Raises:
        DataError: sets of two sizes, of which 1/2 would not be best.
    """
    n, m = cross.shape
    if n != m or n < 2:
        raise DataError(f"1-NNA compares sets of one size of at least 2, got {n} and {m}")
    every = torch.cat([torch.cat([own, cross], 1), torch.cat([cross.T, other], 1)])
    every.fill_diagonal_(torch.inf)
    nearest = every == every.min(1, keepdim=True).values
    mine = torch.arange(n + m) < n
    same = (nearest & (mine[:, None] == mine)).sum(1).double() / nearest.sum(1)
    return float(same.mean())
