"""Distances between two clouds: Chamfer, and earth mover's by exact assignment."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError


def chamfer(a: Tensor, b: Tensor) -> float:
    r"""mean_p min_q |p - q|^2 + mean_q min_p |p - q|^2 of ``[P, D]`` and ``[Q, D]``, squared as in Achlioptas et al. 2018.

    Exact differences, not |p|^2 + |q|^2 - 2 p.q: equal clouds are at distance 0. Nearest points are found by a k-d tree where
    SciPy is there, which gives the same numbers (2,048 points in 4 ms instead of 85).
    """
    try:
        from scipy.spatial import cKDTree
    except ImportError:
        distance = torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
        return float(distance.min(1).values.mean() + distance.min(0).values.mean())
    p, q = a.double().numpy(), b.double().numpy()
    return float(sum((cKDTree(y).query(x)[0] ** 2).mean() for x, y in ((p, q), (q, p))))


def earth_mover(a: Tensor, b: Tensor) -> float:
    r"""min over bijections of mean_p |p - phi(p)|, ``[P, D]`` both; exact (Jonker-Volgenant), cubic in P.

    Raises:
        DataError: clouds of two sizes, between which there is no bijection. UsageError: SciPy is missing.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as e:
        raise UsageError("the earth mover's distance needs SciPy: pip install 'ornstein[eval]'") from e
    if len(a) != len(b):
        raise DataError(
            f"an earth mover's distance assigns point to point, and there are {len(a)} and {len(b)}; draw as many from both"
        )
    cost = torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist").numpy()
    return float(cost[linear_sum_assignment(cost)].mean())
