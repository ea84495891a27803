"""Distances between all pairs of two sets of vectors, a block of rows at a time: never N x M at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ornstein.core.errors import DataError

BLOCK_BYTES = 64 * 2**20
"""What one block of distances may take; a few temporaries of that size live beside it."""


def require_vectors(name: str, x: Tensor, least: int = 1) -> None:
    """Refuse what is not ``[N, D]`` of finite numbers with at least ``least`` rows."""
    if x.ndim != 2:
        raise DataError(
            f"{name} must be feature vectors [N, D], got shape {tuple(x.shape)}; flatten or pool them first"
        )
    if len(x) < least:
        raise DataError(f"{name}: at least {least} vectors are needed, got {len(x)}")
    if not bool(torch.isfinite(x).all()):
        raise DataError(f"{name} hold NaN or infinity; the images or the extractor are broken")


def rows_per_block(columns: int, itemsize: int = 4) -> int:
    """How many rows of ``columns`` distances fit a block."""
    return max(1, BLOCK_BYTES // (max(columns, 1) * itemsize))


def centre(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both moved by the mean of ``b``: distances stay, and |a|^2 + |b|^2 - 2 a.b cancels fewer digits."""
    shift = b.mean(0, dtype=torch.float64).to(b.dtype)
    return a - shift, b - shift


def squared_distances(a: Tensor, b: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yields ``(i, d)`` with ``d[r, j] = |a[i + r] - b[j]|^2``, ``[R, M]``, over all blocks of rows of ``a [N, D]``.

    In the type of ``a``; each block is the caller's to change.
    """
    if a.shape[1] != b.shape[1]:
        raise DataError(f"vectors of {a.shape[1]} and of {b.shape[1]} dimensions have no distance; use one extractor")
    squares = b.square().sum(1)
    rows = rows_per_block(len(b), a.element_size())
    for i in range(0, len(a), rows):
        part = a[i : i + rows]
        d = torch.addmm(squares, part, b.T, alpha=-2)
        yield i, d.add_(part.square().sum(1, keepdim=True)).clamp_(min=0)


def without_self(i: int, d: Tensor) -> Tensor:
    """In a block of distances of a set to itself: infinity where a point meets itself, whatever rounding made of it."""
    rows = torch.arange(len(d), device=d.device)
    d[rows, rows + i] = torch.inf
    return d


def nearest(a: Tensor, b: Tensor, k: int = 1, same: bool = False) -> tuple[Tensor, Tensor]:
    """Distances ``[N, k]`` (ascending) and indices of the ``k`` nearest of ``b`` to each row of ``a``.

    ``same``: ``b`` is ``a``, and a point is no neighbour of itself.
    """
    if k > len(b) - same:
        raise DataError(f"k = {k} neighbours need more than {k - 1 + same} points, got {len(b)}; lower k")
    x, y = centre(a.float(), b.float())
    values, places = [], []
    for i, d in squared_distances(x, y):
        found = (without_self(i, d) if same else d).topk(k, dim=1, largest=False, sorted=True)
        values.append(found.values.sqrt())
        places.append(found.indices)
    return torch.cat(values), torch.cat(places)
