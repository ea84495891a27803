"""Any matrix, dense or sparse: random projections, the Radon transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.measurement import SVD, Linear

LARGEST = 4096
"""Coordinates up to which a dense matrix is decomposed; beyond it the decomposition alone would take gigabytes."""


@final
class Matrix(Linear, SVD):
    """y = M x of the flattened state: ``M [m, d]``, y ``[B, m]``. A dense M of up to 4096 columns has its singular values."""

    def __init__(self, matrix: Tensor, shape: Sequence[int], name: str = "matrix"):
        self.shape, self.name = tuple(shape), name
        if matrix.ndim != 2 or matrix.shape[1] != math.prod(self.shape):
            raise UsageError(f"a matrix {tuple(matrix.shape)} does not fit states {self.shape}")
        self.matrix = matrix.double()
        self.dense = matrix.layout == torch.strided and matrix.shape[1] <= LARGEST
        if self.dense:
            u, s, vt = torch.linalg.svd(self.matrix, full_matrices=True)
            self._u, self._v = u[:, : len(s)], vt.T
            self.values = torch.zeros(matrix.shape[1], dtype=torch.float64)
            self.values[: len(s)] = s

    def __call__(self, x: Tensor) -> Tensor:
        return (self.matrix.to(x.device) @ x.flatten(1).double().mT).mT.to(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return (self.matrix.mT.to(y.device) @ y.double().mT).mT.to(y).reshape(-1, *self.shape)

    @property
    def svd(self) -> SVD | None:
        return self if self.dense else None

    def turn(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self._v.to(x)

    def unturn(self, c: Tensor) -> Tensor:
        return (c @ self._v.to(c).mT).reshape(-1, *self.shape)

    def data(self, y: Tensor) -> Tensor:
        c = y @ self._u.to(y)
        return torch.cat([c, c.new_zeros(len(c), len(self.values) - c.shape[1])], 1)

    def undata(self, c: Tensor) -> Tensor:
        return c[:, : self._u.shape[1]] @ self._u.to(c).mT


def projections(shape: Sequence[int], count: int, seed: int = 0) -> Matrix:
    """``count`` random orthonormal directions: compressed sensing."""
    d = math.prod(shape)
    if not 1 <= count < d:
        raise UsageError(f"the number of random projections must lie in 1 .. {d - 1}, got {count}")
    normal = torch.randn(d, count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return Matrix(torch.linalg.qr(normal)[0].T, shape, f"{count} random projections")


def radon(shape: Sequence[int], angles: int) -> Matrix:
    """Sums along lines at ``angles`` directions over half a turn, ``y [B, C * angles * n]``: tomography of square images.

    Each pixel is shared between the two nearest of n parallel lines a pixel apart; the matrix is sparse, and its adjoint the
    back-projection. Divided by n, so that y keeps the scale of x.
    """
    *channels, h, w = shape
    if h != w or angles < 1:
        raise UsageError(f"tomography needs square images and at least one angle, got {h} x {w} and {angles}")
    at = torch.arange(h, dtype=torch.float64) - (h - 1) / 2
    pixel = torch.arange(h * w)
    rows, columns, values = [], [], []
    for k in range(angles):
        a = math.pi * k / angles
        place = (at[None, :] * math.cos(a) + at[:, None] * math.sin(a)).flatten() + (h - 1) / 2
        low = place.floor().long()
        for line, weight in ((low, low + 1 - place), (low + 1, place - low)):
            inside = (line >= 0) & (line < h)
            rows.append(k * h + line[inside])
            columns.append(pixel[inside])
            values.append(weight[inside] / h)
    indices = torch.stack([torch.cat(rows), torch.cat(columns)])
    c, n = math.prod(channels), h * w
    stacked = torch.cat([indices + torch.tensor([[i * angles * h], [i * n]]) for i in range(c)], 1)
    sparse = torch.sparse_coo_tensor(
        stacked, torch.cat(values).repeat(c), (c * angles * h, c * n), check_invariants=True
    )
    return Matrix(sparse.coalesce(), shape, f"{angles} tomographic views")
