r"""Kernel distance: the unbiased squared MMD under k(a, b) = (a.b / D + 1)^3. Binkowski et al. 2018."""

from __future__ import annotations

from torch import Tensor

from ornstein.core.errors import DataError

BLOCK = 2048


def _kernel_sum(a: Tensor, b: Tensor, same: bool) -> float:
    """Sum of the kernel over all pairs, without the diagonal when both sets are the same; in blocks."""
    total = 0.0
    for i in range(0, len(a), BLOCK):
        for j in range(0, len(b), BLOCK):
            k = (a[i : i + BLOCK] @ b[j : j + BLOCK].T / a.shape[1] + 1) ** 3
            total += float(k.sum()) - (float(k.diagonal().sum()) if same and i == j else 0.0)
    return total


def kid(samples: Tensor, reference: Tensor) -> float:
    """Unbiased squared MMD over all pairs of ``[N, D]`` and ``[M, D]``; may be slightly negative when the laws agree."""
    a, b = samples.double(), reference.double()
    n, m = len(a), len(b)
    if n < 2 or m < 2:
        raise DataError(f"the kernel distance needs at least 2 samples on both sides, got {n} and {m}")
    return (
        _kernel_sum(a, a, True) / (n * (n - 1))
        + _kernel_sum(b, b, True) / (m * (m - 1))
        - 2 * _kernel_sum(a, b, False) / (n * m)
    )
