"""Gaussian mixtures under linear SDEs whose coordinates are coupled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.blocks import BlockGaussian, apply, root
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.processes.base import Process
from ornstein.processes.linear import LinearProcess, flat
from ornstein.testing.exact.problem import Problem


def coupled(
    process: Process, weights: Tensor | Sequence[float], means: Tensor | Sequence[Sequence[float]], cov: Tensor
) -> CoupledProblem:
    r"""u_0 ~ sum_k w_k N(mu_k, C), for states ``[D]`` of K parts: ``means [M, D]`` and one covariance ``[K, K]`` of the parts."""
    if not isinstance(process, LinearProcess):
        raise CapabilityError(f"the coupled problem needs a LinearProcess; {type(process).__name__} is not")
    w, mu, c = (torch.as_tensor(a, dtype=torch.float64) for a in (weights, means, cov))
    k = process.parts
    if w.ndim != 1 or mu.ndim != 2 or len(mu) != len(w) or bool((w <= 0).any()):
        raise UsageError(f"weights [M] > 0 and means [M, D] do not fit: {tuple(w.shape)} and {tuple(mu.shape)}")
    if c.shape != (k, k) or mu.shape[1] % k:
        raise UsageError(f"{k} parts need a covariance [{k}, {k}] and means of a multiple of {k} numbers")
    return CoupledProblem(process, w / w.sum(), mu, c)


@final
class CoupledProblem(Problem):
    r"""p_t = sum_k w_k N(Psi mu_k, V_t) with V_t = Psi C Psi' + Sigma_t, every column alike."""

    def __init__(self, process: LinearProcess, weights: Tensor, means: Tensor, cov: Tensor):
        self.process, self.weights, self.means, self.cov = process, weights, means, cov
        self.shape = tuple(means.shape[1:])

    def _total(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Psi and V_t at one time per sample."""
        b = self.process.clock(flat(t))
        psi = self.process.flow(b)
        return psi, psi @ self.cov @ psi.mT + self.process.spread(b)

    def law(self, t: Tensor | float, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean ``[D]`` and covariance ``[D, D]`` of p_t where there is one component."""
        if len(self.weights) > 1:
            raise CapabilityError("a mixture has no law of two moments; ask for one component")
        psi, total = self._total(torch.as_tensor(t, dtype=torch.float64))
        columns = self.means.shape[1] // self.process.parts
        return apply(psi, self.means)[0], torch.kron(total, torch.eye(columns, dtype=torch.float64))

    def sample(self, rng: Random, n: int) -> Tensor:
        k = rng.categorical(self.weights.log().expand(n, -1))
        return self.means[k] + apply(root(self.cov), rng.normal((n, *self.shape), dtype=torch.float64))

    def _parts(self, u_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Psi, V_t, u_t - Psi mu_k ``[B, M, D]``, and log w_k N_k ``[B, M]``."""
        psi, total = self._total(t)
        u, modes = u_t.double(), len(self.weights)
        centred = torch.stack([u - apply(psi, mu.expand_as(u)) for mu in self.means], 1)
        laws = [BlockGaussian(torch.zeros_like(u), total).log_prob(centred[:, m]) for m in range(modes)]
        return psi, total, centred, self.weights.log() + torch.stack(laws, 1)

    def posterior(self, x_t: Tensor, t: Tensor | float, cond: Cond = NO_COND) -> BlockGaussian:
        """Mean, and the covariance of the parts in each column (the law itself is a mixture)."""
        psi, total, centred, log = self._parts(x_t, expand(t, x_t))
        gain = self.cov @ torch.linalg.solve(total, psi).mT  # C Psi' V^{-1}
        r = log.softmax(1)
        each = torch.stack([mu + apply(gain, centred[:, m]) for m, mu in enumerate(self.means)], 1)
        mean = (r.unsqueeze(-1) * each).sum(1)
        inner = self.cov - gain @ psi @ self.cov
        off = (each - mean.unsqueeze(1)).reshape(*each.shape[:2], self.process.parts, -1)
        between = torch.einsum("bm,bmin,bmjn->bnij", r, off, off)
        cov = between + (inner if inner.ndim == 2 else inner.unsqueeze(1))
        return BlockGaussian(mean.to(x_t), cov)

    def marginal_log_prob(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        return self._parts(x_t, expand(t, x_t))[-1].logsumexp(1)

    def score(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        _, total, centred, log = self._parts(x_t, expand(t, x_t))
        pulled = torch.stack([-apply(torch.linalg.inv(total), c) for c in centred.unbind(1)], 1)
        return (log.softmax(1).unsqueeze(-1) * pulled).sum(1).to(x_t)
