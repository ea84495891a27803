r"""The Frechet distance between Gaussians fitted to features: |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^{1/2})."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import DataError


@final
class GaussianStatistics:
    """Mean and covariance of a stream of feature vectors, in float64; the vectors are not kept."""

    def __init__(self, dims: int):
        self.count = 0
        self._mean = torch.zeros(dims, dtype=torch.float64)
        self._scatter = torch.zeros(dims, dims, dtype=torch.float64)

    def add(self, features: Tensor) -> GaussianStatistics:
        """Take in ``[B, D]`` (Chan's parallel update)."""
        f = features.double()
        if not bool(torch.isfinite(f).all()):
            raise DataError("features hold NaN or infinity; the samples or the extractor are broken")
        n = f.shape[0]
        mean = f.mean(0)
        centred = f - mean
        delta = mean - self._mean
        total = self.count + n
        self._scatter += centred.T @ centred + torch.outer(delta, delta) * (self.count * n / total)
        self._mean += delta * (n / total)
        self.count = total
        return self

    @property
    def mean(self) -> Tensor:
        """``[D]``."""
        return self._mean

    @property
    def cov(self) -> Tensor:
        """Unbiased, ``[D, D]``."""
        if self.count < 2:
            raise DataError(f"a covariance needs at least 2 samples, got {self.count}")
        return self._scatter / (self.count - 1)


def frechet_distance(mean_1: Tensor, cov_1: Tensor, mean_2: Tensor, cov_2: Tensor) -> float:
    r"""Between two Gaussians; tr (C_1 C_2)^{1/2} is the sum of the roots of the eigenvalues of R^T C_1 R, C_2 = R R^T.

    That form is symmetric, so no complex root can arise from rounding. R is C_2's Cholesky factor, or, where C_2 is
    singular, its eigenvectors times roots (several times as slow). Heusel et al. 2017; Dowson & Landau 1982.
    """
    c_1, c_2 = cov_1.double(), cov_2.double()
    root, failed = torch.linalg.cholesky_ex(c_2)
    if bool(failed):
        values, vectors = torch.linalg.eigh(c_2)
        root = vectors * values.clamp_min(0).sqrt()
    cross = torch.linalg.eigvalsh(root.T @ c_1 @ root).clamp_min(0).sqrt().sum()
    shift = (mean_1.double() - mean_2.double()).square().sum()
    return float(shift + c_1.trace() + c_2.trace() - 2 * cross)


def frechet(samples: Tensor, reference: Tensor) -> float:
    """Frechet distance of two sets of feature vectors ``[N, D]``."""
    a = GaussianStatistics(samples.shape[1]).add(samples)
    b = GaussianStatistics(reference.shape[1]).add(reference)
    return frechet_distance(a.mean, a.cov, b.mean, b.cov)
