"""Operators that treat rows and columns apart: average pooling, bicubic reduction, separable blur."""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.measurement import SVD, Linear


class _Factor:
    """One side: ``A [m, n]``, m <= n, with A = U diag(s) V', ``V [n, n]``."""

    def __init__(self, matrix: Tensor):
        m, n = matrix.shape
        if m > n:
            raise UsageError(f"a side of a separable operator may not grow: {n} pixels become {m}")
        self.matrix = matrix.double()
        self.u, s, vt = torch.linalg.svd(self.matrix, full_matrices=True)
        self.s, self.v = F.pad(s, (0, n - m)), vt.T


@final
class Separable(Linear, SVD):
    """y = R x C' of each channel, with ``R [m, H]`` and ``C [k, W]``; the singular values are products of theirs."""

    def __init__(self, rows: Tensor, columns: Tensor, name: str = "separable operator"):
        self._rows, self._columns = _Factor(rows), _Factor(columns)
        self.values = self._rows.s[:, None] * self._columns.s
        self.name = name

    def _between(self, left: Tensor, x: Tensor, right: Tensor) -> Tensor:
        want = left.shape[1], right.shape[1]
        if x.shape[-2:] != want:
            raise UsageError(f"the {self.name} is made for {want[0]} x {want[1]} values, and met {tuple(x.shape[-2:])}")
        return left.to(x) @ x @ right.to(x).mT

    def __call__(self, x: Tensor) -> Tensor:
        return self._between(self._rows.matrix, x, self._columns.matrix)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._between(self._rows.matrix.mT, y, self._columns.matrix.mT)

    @property
    def svd(self) -> SVD:
        return self

    def turn(self, x: Tensor) -> Tensor:
        return self._between(self._rows.v.mT, x, self._columns.v.mT)

    def unturn(self, c: Tensor) -> Tensor:
        return self._between(self._rows.v, c, self._columns.v)

    def data(self, y: Tensor) -> Tensor:
        c = self._between(self._rows.u.mT, y, self._columns.u.mT)
        (n, w), (m, k) = self.values.shape, c.shape[-2:]
        return F.pad(c, (0, w - k, 0, n - m))

    def undata(self, c: Tensor) -> Tensor:
        m, k = len(self._rows.u), len(self._columns.u)
        return self._between(self._rows.u, c[..., :m, :k], self._columns.u)


def _divided(n: int, scale: int, what: str) -> int:
    if scale < 1 or n % scale:
        fits = [k for k in range(2, n) if n % k == 0]
        raise UsageError(f"scale {scale} does not divide {n} pixels for {what}; {', '.join(map(str, fits))} do")
    return n // scale


def average_pooling(shape: tuple[int, ...], scale: int) -> Separable:
    """Each ``scale`` x ``scale`` block becomes its mean; ``shape`` ends in (H, W)."""

    def side(n: int) -> Tensor:
        return torch.kron(torch.eye(_divided(n, scale, "average pooling")), torch.full((1, scale), 1 / scale)).double()

    return Separable(side(shape[-2]), side(shape[-1]), f"{scale}x average pooling")


def bicubic(shape: tuple[int, ...], scale: int, a: float = -0.5) -> Separable:
    """Bicubic reduction with a kernel widened by ``scale`` (no aliasing) and edges reflected, as Pillow's and Matlab's.

    Keys' kernel with parameter ``a`` (1981); -0.5 is exact for quadratics.
    """

    def keys(d: Tensor) -> Tensor:
        d = d.abs()
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * (d**3 - 5 * d**2 + 8 * d - 4)
        return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))

    def side(n: int) -> Tensor:
        m = _divided(n, scale, "bicubic reduction")
        out = torch.zeros(m, n, dtype=torch.float64)
        for i in range(m):
            centre = (i + 0.5) * scale - 0.5
            at = torch.arange(math.floor(centre - 2 * scale), math.ceil(centre + 2 * scale) + 1)
            weight = keys((at - centre).double() / scale)
            out[i].index_add_(0, _reflect(at, n), weight / weight.sum())
        return out

    return Separable(side(shape[-2]), side(shape[-1]), f"{scale}x bicubic reduction")


def gaussian_blur(shape: tuple[int, ...], std: float) -> Separable:
    """Convolution with a Gaussian of ``std`` pixels, cut at 4 std, edges reflected."""
    if not 0 < std < math.inf:
        raise UsageError(f"the width of a blur must be positive, got {std}")
    reach = max(math.ceil(4 * std), 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / std) ** 2)
    return separable_blur(shape, kernel / kernel.sum(), f"Gaussian blur of {std:g} pixels")


def separable_blur(shape: tuple[int, ...], kernel: Tensor, name: str = "separable blur") -> Separable:
    """Convolution of rows and of columns with ``kernel [2 r + 1]``, edges reflected.

    Raises:
        UsageError: an even length.
    """
    kernel = torch.as_tensor(kernel, dtype=torch.float64)
    if kernel.ndim != 1 or len(kernel) % 2 == 0:
        raise UsageError(f"a blur's kernel has an odd length, [2 r + 1]; got {tuple(kernel.shape)}")
    reach = len(kernel) // 2

    def side(n: int) -> Tensor:
        out = torch.zeros(n, n, dtype=torch.float64)
        for i in range(n):
            out[i].index_add_(0, _reflect(torch.arange(i - reach, i + reach + 1), n), kernel)
        return out

    return Separable(side(shape[-2]), side(shape[-1]), name)


def _reflect(at: Tensor, n: int) -> Tensor:
    """Indices beyond the edges, mirrored with the edge repeated: ... 1 0 | 0 1 ... n-1 | n-1 n-2 ..."""
    at = at % (2 * n)
    return torch.where(at < n, at, 2 * n - 1 - at)
