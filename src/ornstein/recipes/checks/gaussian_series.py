"""Series whose law is Gaussian and known, so that the conditional law of any gap is exact: the oracle of checks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.data.series import Record, SeriesTable
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine


@final
@dataclass(frozen=True)
class Panel:
    """A stationary vector autoregression x_l = A x_{l-1} + noise of K columns, each of variance 1 and correlated with the others.

    A = 0.85 x a rotation that couples neighbours; the covariance of ``length`` steps is exact.
    """

    columns: int = 3
    length: int = 12
    decay: float = 0.85

    @cached_property
    def law(self) -> tuple[np.ndarray, np.ndarray]:
        """A, and the stationary covariance S of one step (correlations of 0.6^|i - j|)."""
        k = self.columns
        place = np.arange(k)
        s = 0.6 ** np.abs(place[:, None] - place)
        angle = 0.35
        turn = np.eye(k)
        turn[0, 0] = turn[1, 1] = math.cos(angle)
        turn[0, 1], turn[1, 0] = -math.sin(angle), math.sin(angle)
        root = np.linalg.cholesky(s)
        a = self.decay * root @ turn @ np.linalg.inv(root)  # A S A' = decay^2 S, so that S stays
        return a, s

    @cached_property
    def covariance(self) -> Tensor:
        """``[K L, K L]`` float64 of a window ``[K, L]``."""
        a, s = self.law
        k, n = self.columns, self.length
        full = np.zeros((k, n, k, n))
        power = np.eye(k)
        for lag in range(n):
            block = power @ s  # Cov(x_{l + lag}, x_l)
            for i in range(n - lag):
                full[:, i + lag, :, i] = block
                full[:, i, :, i + lag] = block.T
            power = a @ power
        return torch.from_numpy(full.reshape(k * n, k * n))

    def draw(self, n: int, seed: int) -> Tensor:
        """``[n, K, L]`` float64."""
        root = torch.linalg.cholesky(self.covariance)
        z = torch.randn((n, len(root)), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return (z @ root.T).reshape(n, self.columns, self.length)

    def table(self, n: int, seed: int) -> SeriesTable:
        """``n`` series as a table."""
        records = [
            Record(x.T.numpy().copy(), np.arange(self.length, dtype=float), str(i))
            for i, x in enumerate(self.draw(n, seed))
        ]
        names = tuple(f"c{i}" for i in range(self.columns))
        return SeriesTable(tuple(records), names, "panel", calendar=False, series="series")

    def posterior(self, x: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of every cell of ``x [B, K, L]`` given those where ``given``."""
        flat, mask = x.flatten(1), given.flatten(1)
        mean, std = flat.clone(), torch.zeros_like(flat)
        for i in range(len(x)):
            m, h = mask[i], ~mask[i]
            gain = torch.linalg.solve(self.covariance[m][:, m], self.covariance[m][:, h]).T
            mean[i, h] = gain @ flat[i, m]
            rest = self.covariance[h][:, h] - gain @ self.covariance[m][:, h]
            std[i, h] = rest.diagonal().clamp_min(0).sqrt()
        return mean.reshape(x.shape), std.reshape(x.shape)


def gaussian_crps(mean: Tensor, std: Tensor, truth: Tensor) -> Tensor:
    r"""Of N(mean, std^2): std (z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)), z = (y - mean)/std. Gneiting & Raftery 2007, eq. 5."""
    z = (truth - mean) / std
    phi = (-0.5 * z**2).exp() / math.sqrt(2 * math.pi)
    return std * (z * torch.erf(z / math.sqrt(2)) + 2 * phi - 1 / math.sqrt(math.pi))


@final
class Unconditional(Denoiser):
    """E[x_0 | x_t] of N(0, S), exact: S alpha (alpha^2 S + sigma^2)^-1 x_t, by eigenvectors. It knows of no observation."""

    process: Affine

    def __init__(self, process: Affine, covariance: Tensor):
        super().__init__()
        self.process = process
        self.values, self.vectors = torch.linalg.eigh(covariance)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        alpha, sigma = self.process.alpha(t).reshape(-1, 1), self.process.sigma(t).reshape(-1, 1)
        turned = x_t.flatten(1).double() @ self.vectors
        gain = alpha * self.values / (alpha**2 * self.values + sigma**2)
        return Dirac((turned * gain @ self.vectors.T).reshape(x_t.shape).to(x_t.dtype))


@final
class Conditional(Denoiser):
    """E[x_0 | x_t, known cells] for one pattern of known cells: what a perfect conditional network predicts.

    The unknown cells are N(m, C) given the known ones (``cond["values"]``, 0 elsewhere); the known ones stay.
    """

    process: Affine

    def __init__(self, process: Affine, covariance: Tensor, given: Tensor):
        super().__init__()
        self.process, self.given = process, given.flatten()
        m, h = self.given, ~self.given
        self.gain = torch.linalg.solve(covariance[m][:, m], covariance[m][:, h]).T
        self.values, self.vectors = torch.linalg.eigh(covariance[h][:, h] - self.gain @ covariance[m][:, h])

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        alpha, sigma = self.process.alpha(t).reshape(-1, 1), self.process.sigma(t).reshape(-1, 1)
        known = cond["values"].flatten(1).double()
        mean = known[:, self.given] @ self.gain.T
        turned = (x_t.flatten(1).double()[:, ~self.given] - alpha * mean) @ self.vectors
        part = turned * alpha * self.values / (alpha**2 * self.values + sigma**2) @ self.vectors.T
        out = known.clone()
        out[:, ~self.given] = mean + part
        return Dirac(out.reshape(x_t.shape).to(x_t.dtype))
