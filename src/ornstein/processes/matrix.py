r"""A Markov chain on a finite set given by its matrices: discretised Gaussians on ordered levels, nearest neighbours of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor

from ornstein.core.distributions import Categorical, Dirac, Posterior
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.processes.base import Reversible
from ornstein.processes.categorical import log

_TABLE: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}
"""Tables are made of numbers even where a network is built without memory, on the meta device."""


@final
class MatrixProcess(Reversible):
    r"""q(x_n | x_{n-1}) = Cat(Q_n[x_{n-1}, :]) for n = 1 .. T, each coordinate for itself; t stands for n = ceil(t T).

    Q_bar_n = Q_1 .. Q_n is kept as a table ``[T + 1, K, K]``, so K and T are small: K = 256, T = 1000 takes half a
    gigabyte. Uniform and absorbing chains need no tables: :class:`ornstein.processes.CategoricalProcess`. Austin et
    al. 2021, 2107.03006. States are int64 ``[B, ...]`` in ``0 .. K - 1``.
    """

    step: Tensor
    total: Tensor

    def __init__(self, step: Tensor):
        super().__init__()
        step = torch.as_tensor(step, **_TABLE)
        if step.ndim != 3 or step.shape[1] != step.shape[2] or step.shape[1] < 2:
            raise UsageError(f"a chain is given by matrices [T, K, K] with K >= 2, got shape {tuple(step.shape)}")
        sums = step.sum(-1)
        if bool((step < -1e-12).any()) or bool(((sums - 1).abs() > 1e-8).any()):
            worst = float((sums - 1).abs().max())
            raise UsageError(
                f"every row of a chain's matrices must be a law: entries >= 0, sum 1; a sum is {worst:.3g} off, the least "
                f"entry is {float(step.min()):.3g}"
            )
        total = [torch.eye(step.shape[1], **_TABLE)]
        for q in step:
            total.append(total[-1] @ q)
        self.register_buffer("step", step.clamp_min(0), persistent=False)
        self.register_buffer("total", torch.stack(total), persistent=False)
        self.steps, self.states = step.shape[0], step.shape[1]
        self.t_min = 1 / self.steps

    @classmethod
    def discretised_gaussian(cls, k: int, steps: int, beta_1: float = 1e-4, beta_T: float = 0.02) -> MatrixProcess:
        r"""Jumps between levels i and j with weight exp(-4 |i - j|^2 / ((K - 1)^2 beta_n)), symmetric; beta as DDPM's.

        The betas are multiplied by 1000/T, so that the total noise does not depend on T. Austin et al. 2021, eq. 8.
        """
        if k < 2 or steps < 2:
            raise UsageError(f"a discretised Gaussian needs at least 2 levels and 2 steps, got {k} and {steps}")
        beta = torch.linspace(beta_1, beta_T, steps, **_TABLE) * (1000 / steps)
        n = torch.arange(-(k - 1), k, **_TABLE)
        weight = torch.exp(-4 * n**2 / ((k - 1) ** 2 * beta[:, None]))
        weight = weight / weight.sum(-1, keepdim=True)
        i = torch.arange(k, device="cpu")
        step = weight[:, (i[:, None] - i[None, :]) + k - 1]
        step[:, i, i] = 0
        step[:, i, i] = 1 - step.sum(-1)
        return cls(step)

    @classmethod
    def nearest(cls, embeddings: Tensor, steps: int, neighbours: int = 3, left: float = 1e-3) -> MatrixProcess:
        r"""Q_n = exp(a_n R): values jump to nearest neighbours in an embedding ``[K, D]``, at rates R = (A + A') / 2.

        a_n rises linearly in n, so far that the slowest mode falls to ``left``. Austin et al. 2021, appendix A.2.4,
        with their schedule by mutual information replaced by that rise.
        """
        e = torch.as_tensor(embeddings, **_TABLE)
        k = len(e)
        if not 1 <= neighbours < k:
            raise UsageError(f"neighbours must lie in 1 .. {k - 1} (the other values), got {neighbours}")
        if steps < 2 or not 0 < left < 1:
            raise UsageError(f"a chain needs at least 2 steps and 0 < left < 1, got {steps} and {left}")
        gap = torch.cdist(e, e)
        gap.fill_diagonal_(torch.inf)
        adjacent = torch.zeros(k, k, **_TABLE).scatter_(1, gap.topk(neighbours, largest=False).indices, 1.0)
        rate = (adjacent + adjacent.T) / 2
        rate -= torch.diag(rate.sum(-1))
        values, vectors = torch.linalg.eigh(rate)
        if float(-values[-2]) < 1e-9:
            pieces = int((values > -1e-9).sum())
            raise UsageError(
                f"the graph of {neighbours} nearest neighbours falls into {pieces} pieces between which nothing jumps: "
                "raise neighbours"
            )
        rise = torch.arange(1, steps + 1, **_TABLE)
        a = rise / rise.sum() * (-torch.log(torch.tensor(left, **_TABLE)) / -values[-2])
        step = vectors @ torch.diag_embed(torch.exp(a[:, None] * values)) @ vectors.T
        step = step.clamp_min(0)  # rounding leaves -1e-17
        return cls(step / step.sum(-1, keepdim=True))

    def index(self, t: Tensor) -> Tensor:
        """n = ceil(t T), with t = n/T belonging to n despite rounding."""
        return torch.ceil(t * self.steps - 1e-6).long().clamp(0, self.steps)

    def prior(self, shape: Sequence[int]) -> Categorical:
        """The law at the end of the chain, averaged over where it began."""
        logits = self.total[-1].mean(0).log()
        return Categorical(logits.expand(*shape, self.states))

    def marginal(self, x_0: Tensor, t: Tensor) -> Categorical:
        n = self.index(t.to(x_0.device)).expand(x_0.shape)
        return Categorical(self.total.to(x_0.device)[n, x_0].log())

    def _between(self, s: Tensor, t: Tensor) -> Tensor:
        """Q_{s+1} .. Q_t for two indices, ``[K, K]``."""
        out = torch.eye(self.states, dtype=torch.float64, device=self.step.device)
        for n in range(int(s), int(t)):
            out = out @ self.step[n]
        return out

    def _jump(self, s: Tensor, t: Tensor, x_t: Tensor) -> Tensor:
        """q(x_t | x_s = j) for every j, ``[B, ..., K]``."""
        if bool((t == s + 1).all()):  # one step of the chain: no product
            return self.step.to(x_t.device).mT[(t - 1).clamp_min(0).expand(x_t.shape), x_t]
        if t.ndim == 0 and s.ndim == 0:
            return self._between(s, t).to(x_t.device).mT[x_t]
        pairs, which = torch.unique(torch.stack([s.flatten(), t.flatten()], 1), dim=0, return_inverse=True)
        tables = torch.stack([self._between(a, b) for a, b in pairs]).to(x_t.device).mT
        return tables[which.reshape(t.shape).expand(x_t.shape), x_t]

    def reverse(self, x_t: Tensor, t: Tensor, s: Tensor, posterior: Posterior) -> Categorical:
        r"""sum_l p_l q(x_s = j | x_t, l) = q(x_t | x_s = j) sum_l (p_l / q(x_t | l)) q(x_s = j | l)."""
        n_t, n_s = self.index(t.to(x_t.device)), self.index(s.to(x_t.device))
        n_t, n_s = n_t + 0 * n_s, n_s + 0 * n_t  # of the same shape
        total = self.total.to(x_t.device)
        jump = self._jump(n_s, n_t, x_t)
        if isinstance(posterior, Dirac):
            probs = jump * total[n_s.expand(x_t.shape), posterior.x]
            return Categorical((probs / probs.sum(-1, keepdim=True)).log())
        if not isinstance(posterior, Categorical):
            raise CapabilityError(
                f"a process on {self.states} states needs a Categorical posterior (logits) or a Dirac on states, "
                f"got {type(posterior).__name__}"
            )
        seen = total.mT[n_t.expand(x_t.shape), x_t]  # q(x_t | l), [B, ..., K]
        p = posterior.probs.double()
        weight = torch.where(p > 0, p / seen.clamp_min(1e-300), 0.0)
        if n_s.ndim == 0:
            probs = jump * (weight @ total[n_s])
        else:
            rows = total[n_s.reshape(len(x_t), -1)[:, 0]]  # one time per sample
            probs = jump * (weight.reshape(len(x_t), -1, self.states) @ rows).reshape(weight.shape)
        return Categorical(log(probs))
