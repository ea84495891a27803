"""Dynamic time warping: the cheapest way to walk through two sequences at once. Sakoe & Chiba 1978."""

from __future__ import annotations

import numpy as np


def warp(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Indices ``(i, j)`` of the path from (0, 0) to the end that makes the sum of ``cost [N, M]`` least.

    D_ij = c_ij + min(D_{i-1,j-1}, D_{i-1,j}, D_{i,j-1}); ties prefer the diagonal. Computed along anti-diagonals.
    """
    n, m = cost.shape
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0
    for s in range(n + m - 1):
        i = np.arange(max(0, s - m + 1), min(n, s + 1))
        j = s - i
        best = np.minimum(np.minimum(total[i, j], total[i, j + 1]), total[i + 1, j])
        total[i + 1, j + 1] = cost[i, j] + best
    i, j = n, m
    path = [(i, j)]
    while (i, j) != (1, 1):
        steps = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        i, j = min(steps, key=lambda p: total[p])
        path.append((i, j))
    ends: np.ndarray = np.array(path[::-1]) - 1
    return ends[:, 0], ends[:, 1]
