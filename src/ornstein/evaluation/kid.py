r"""Kernel distance: the unbiased squared MMD under k(a, b) = (a.b / D + 1)^3. Binkowski et al. 2018."""

from __future__ import annotations

from torch import Tensor

from ornstein.core.errors import DataError

BLOCK = 2048


def _kernel_sum(a: Tensor, b: Tensor) -> float:
    """Sum of the kernel over all pairs of two sets, in blocks, in float64."""
    total = 0.0
    for i in range(0, len(a), BLOCK):
        part = a[i : i + BLOCK].double() / a.shape[1]
        for j in range(0, len(b), BLOCK):
            total += float((part @ b[j : j + BLOCK].double().T).add_(1).pow_(3).sum())
    return total


def _own_sum(a: Tensor) -> float:
    """The same over all ordered pairs of different points of one set; by symmetry half of the blocks suffice."""
    total = 0.0
    for i in range(0, len(a), BLOCK):
        part = a[i : i + BLOCK].double() / a.shape[1]
        for j in range(i, len(a), BLOCK):
            k = (part @ a[j : j + BLOCK].double().T).add_(1).pow_(3)
            total += float(k.sum() - k.diagonal().sum()) if i == j else 2 * float(k.sum())
    return total


def kid(samples: Tensor, reference: Tensor) -> float:
    """Unbiased squared MMD over all pairs of ``[N, D]`` and ``[M, D]``; may be slightly negative when the laws agree."""
    n, m = len(samples), len(reference)
    if n < 2 or m < 2:
        raise DataError(f"the kernel distance needs at least 2 samples on both sides, got {n} and {m}")
    own = _own_sum(samples) / (n * (n - 1)) + _own_sum(reference) / (m * (m - 1))
    return own - 2 * _kernel_sum(samples, reference) / (n * m)
