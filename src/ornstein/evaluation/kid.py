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


def own_mean(x: Tensor) -> float:
    """The mean kernel between different points of a set: the reference's part, the same whatever it is compared with."""
    if len(x) < 2:
        raise DataError(f"the kernel distance needs at least 2 samples on both sides, got {len(x)}")
    return _own_sum(x) / (len(x) * (len(x) - 1))


def kid(samples: Tensor, reference: Tensor, own: float | None = None) -> float:
    """Unbiased squared MMD over all pairs of ``[N, D]`` and ``[M, D]``; may be slightly negative when the laws agree.

    ``own``: :func:`own_mean` of the reference, if it is known.
    """
    own = own_mean(reference) if own is None else own
    return own_mean(samples) + own - 2 * _kernel_sum(samples, reference) / (len(samples) * len(reference))
