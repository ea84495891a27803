"""Gaussian mixtures: the simplest data whose score is not linear, with any covariances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.processes.base import GaussianProcess, Process
from ornstein.testing.exact.problem import Problem


def mixture(
    process: Process,
    weights: Tensor | Sequence[float],
    means: Tensor | Sequence[Sequence[float]],
    covs: Tensor | float,
) -> MixtureProblem:
    r"""x_0 ~ sum_k w_k N(mu_k, C_k).

    Args:
        process: a Gaussian process.
        weights: ``[K]``, normalised here.
        means: ``[K, D]``, or ``[K, *shape]``.
        covs: one variance; ``[K]`` variances; as ``means``, a diagonal each; or ``[K, D, D]`` covariance matrices.
    """
    if not isinstance(process, GaussianProcess):
        raise CapabilityError(f"the mixture problem needs a GaussianProcess; {type(process).__name__} is not")
    w, mu, c = (torch.as_tensor(a, dtype=torch.float64) for a in (weights, means, covs))
    if w.ndim != 1 or mu.ndim < 2 or len(mu) != len(w) or bool((w <= 0).any()):
        raise UsageError(f"weights [K] > 0 and means [K, ...] do not fit: {tuple(w.shape)} and {tuple(mu.shape)}")
    k, d = len(w), mu[0].numel()
    turn = None
    if c.ndim <= 1:
        values = c.expand(k).reshape(k, 1).expand(k, d)
    elif c.shape == mu.shape:
        values = c.reshape(k, d)
    elif c.shape == (k, d, d):
        values, turn = torch.linalg.eigh(c)
    else:
        raise UsageError(f"covariances of shape {tuple(c.shape)} do not fit means of shape {tuple(mu.shape)}")
    if bool((values < 0).any()):
        raise UsageError(f"a covariance is positive semi-definite; one has the eigenvalue {float(values.min()):.3g}")
    return MixtureProblem(process, w / w.sum(), mu, values, turn)


def gmm8(process: Process, std: float = 0.08) -> MixtureProblem:
    """Eight equal modes on a circle of radius 1.2 in the plane: the test bed of many papers."""
    angle = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    return mixture(process, torch.ones(8), 1.2 * torch.stack([angle.cos(), angle.sin()], 1), std**2)


@final
class MixtureProblem(Problem):
    r"""p_t = sum_k w_k N(alpha mu_k, alpha^2 C_k + sigma^2 I), computed in the eigenbases of the C_k.

    The condition ``label [B]`` picks a component (-1, or no label: the whole mixture), so guidance has an exact test.
    """

    def __init__(
        self, process: GaussianProcess, weights: Tensor, means: Tensor, eigenvalues: Tensor, eigenvectors: Tensor | None
    ):
        self.process, self.weights, self.means = process, weights, means
        self.eigenvalues, self.eigenvectors = eigenvalues, eigenvectors
        self.shape = tuple(means.shape[1:])

    def _turn(self, x: Tensor, back: bool = False) -> Tensor:
        """``[B, K, D]`` into the eigenbasis of each component, or back."""
        if self.eigenvectors is None:
            return x
        return torch.einsum("kij,bkj->bki" if back else "kji,bkj->bki", self.eigenvectors, x)

    def _amplitudes(self, t: Tensor | float, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma^2 against ``[B, K, D]``."""
        t = expand(t, x_t)
        out = []
        for value in (self.process.alpha(t), self.process.sigma(t) ** 2):
            rows = value.expand(x_t.shape).reshape(len(x_t), 1, -1)
            if self.eigenvectors is not None and bool((rows != rows[..., :1]).any()):
                raise CapabilityError("full covariances need a process with one alpha and sigma for all coordinates")
            out.append(rows)
        return out[0], out[1]

    def _parts(self, x_t: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """alpha, sigma^2, the centred x in each eigenbasis, its variances there, and log w_k N_k ``[B, K]``."""
        alpha, var = self._amplitudes(t, x_t)
        centred = x_t.double().reshape(len(x_t), 1, -1) - alpha * self.means.flatten(1)
        y = self._turn(centred)
        v = alpha**2 * self.eigenvalues + var
        log = self.weights.log() - 0.5 * (y**2 / v + v.log() + math.log(2 * math.pi)).sum(-1)
        return alpha, var, y, v, log

    def components(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        """p(k | x_t), ``[B, K]``: the Bayes classifier of noisy data."""
        return self._parts(x_t, t)[-1].softmax(-1)

    def sample(self, rng: Random, n: int) -> Tensor:
        k = rng.categorical(self.weights.log().expand(n, -1))
        z = rng.normal((n, self.eigenvalues.shape[1]), dtype=torch.float64) * self.eigenvalues[k].sqrt()
        if self.eigenvectors is not None:
            z = torch.einsum("bij,bj->bi", self.eigenvectors[k], z)
        return self.means[k] + z.reshape(n, *self.shape)

    def posterior(self, x_t: Tensor, t: Tensor | float, cond: Cond = NO_COND) -> Gaussian:
        """Exact mean and exact variance of each coordinate, as a Gaussian (the law itself is a mixture)."""
        alpha, var, y, v, log = self._parts(x_t, t)
        if "label" in cond:
            label = cond["label"].unsqueeze(1)
            other = (label >= 0) & (label != torch.arange(len(self.weights), device=label.device))
            log = log.masked_fill(other, -torch.inf)
        r = log.softmax(-1).unsqueeze(-1)
        means = self.means.flatten(1) + self._turn(alpha * self.eigenvalues * y / v, back=True)
        inner = self.eigenvalues * var / v
        if self.eigenvectors is not None:
            inner = torch.einsum("kij,bkj->bki", self.eigenvectors**2, inner)
        mean = (r * means).sum(1)
        spread = (r * (inner + (means - mean.unsqueeze(1)) ** 2)).sum(1)
        return Gaussian(mean.reshape(x_t.shape).to(x_t), spread.reshape(x_t.shape).to(x_t))

    def marginal_log_prob(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        return self._parts(x_t, t)[-1].logsumexp(-1)

    def score(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        _, _, y, v, log = self._parts(x_t, t)
        each = self._turn(-y / v, back=True)
        return (log.softmax(-1).unsqueeze(-1) * each).sum(1).reshape(x_t.shape).to(x_t)
