r"""Small matrices on the parts of a state, and the Gaussian law that they make.

A state ``[B, C, ...]`` of K parts is read as K consecutive blocks of its numbers, ``[B, K, n]``: position and velocity are two
parts of C/2 channels each, and K = C lets every channel meet every other. One K x K matrix acts on all n columns, or one on
each: matrices are ``[K, K]``, ``[B, K, K]`` or ``[B, n, K, K]``, float64.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.core.distributions import Distribution
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast

_EQUATIONS = {2: "ij,bjn->bin", 3: "bij,bjn->bin", 4: "bnij,bjn->bin"}


def apply(matrix: Tensor, x: Tensor) -> Tensor:
    """M x, of x's shape and dtype."""
    parts = matrix.shape[-1]
    if x[0].numel() % parts:
        raise UsageError(f"a state of {x[0].numel()} numbers cannot be cut into {parts} parts")
    (m,) = cast(x, matrix)
    out: Tensor = torch.einsum(_EQUATIONS[m.ndim], m, x.reshape(len(x), parts, -1)).reshape(x.shape)
    return out


def root(cov: Tensor) -> Tensor:
    """L with L L' = cov: Cholesky's factor, or the symmetric root where cov is singular (as at t = 0, where it may be 0)."""
    factor: Tensor
    factor, info = torch.linalg.cholesky_ex(cov)
    singular = (info > 0)[..., None, None]
    if not bool(singular.any()):
        return factor
    eye = torch.eye(cov.shape[-1], dtype=cov.dtype, device=cov.device)
    factor = torch.linalg.cholesky(torch.where(singular, eye, cov))
    values, vectors = torch.linalg.eigh(cov.detach())
    symmetric = vectors @ (values.clamp_min(0).sqrt().unsqueeze(-1) * vectors.mT)
    return torch.where(singular, symmetric, factor)


@final
class BlockGaussian(Distribution):
    """N(mean, cov), where ``cov`` couples the parts of a state and leaves its columns independent."""

    def __init__(self, mean: Tensor, cov: Tensor):
        self._mean, self.cov = mean, cov

    @property
    def mean(self) -> Tensor:
        return self._mean

    @property
    def var(self) -> Tensor:
        """The diagonal of the covariance, of the mean's shape."""
        diagonal = self.cov.diagonal(dim1=-2, dim2=-1)  # [K], [B, K] or [B, n, K]
        columns = diagonal.mT if self.cov.ndim == 4 else diagonal.unsqueeze(-1)
        batch, parts = len(self._mean), self.cov.shape[-1]
        (var,) = cast(self._mean, columns.expand(batch, parts, self._mean[0].numel() // parts))
        return var.reshape(self._mean.shape)

    def sample(self, rng: Random) -> Tensor:
        return self._mean + apply(root(self.cov), rng.normal_like(self._mean))

    def log_prob(self, x: Tensor) -> Tensor:
        parts = self.cov.shape[-1]
        columns = (x.double() - self._mean.double()).reshape(len(x), parts, -1).mT.unsqueeze(-1)  # [B, n, K, 1]
        factor = torch.linalg.cholesky(self.cov if self.cov.ndim != 3 else self.cov.unsqueeze(1))
        z = torch.linalg.solve_triangular(factor.expand(*columns.shape[:2], parts, parts), columns, upper=False)
        log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        each = 0.5 * z.square().sum((-2, -1)) + log_det + 0.5 * parts * math.log(2 * math.pi)
        total: Tensor = -each.sum(1)
        return total
