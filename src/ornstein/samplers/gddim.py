"""Generalised DDIM: exact in one step where the data are one point, on any linear SDE."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.blocks import apply, root
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.linear import LinearProcess, flat
from ornstein.samplers.base import DenoisingSampler, State

_NODES, _WEIGHTS = (torch.from_numpy(a) / 2 for a in np.polynomial.legendre.leggauss(8))
_NODES = _NODES + 0.5


@final
class GDDIM(DenoisingSampler):
    r"""u_s = Psi(s, 0) E[u_0] + carry(t, s) (u_t - Psi(t, 0) E[u_0]): DDIM with matrices.

    ``carry`` moves what is not explained by the data (:meth:`ornstein.processes.linear.LinearProcess.carry`, R_s R_t^{-1} of the
    paper, whose eps is R_t^{-1} of that rest). With ``order`` 2 that rest, carried to t, is a line in time through its last
    two values (their multistep predictor, q = 2). ``eta``, the paper's lambda, draws noise: 1 is the reverse SDE's kernel; it
    needs order 1. The step to t = 0 returns E[u_0] for what are data. Zhang, Tao & Chen 2022, 2206.05564, eqs. 17 to 22.
    """

    needs = LinearProcess
    order: ClassVar[int] = 2
    history: ClassVar[int] = 1

    def __init__(self, denoiser: Denoiser, order: int = 2, eta: float = 0.0):
        super().__init__(denoiser)
        if order not in (1, 2):
            raise UsageError(f"order must be 1 or 2, got {order}")
        if not eta >= 0:
            raise UsageError(f"eta must be >= 0, got {eta}")
        if eta > 0 and order > 1:
            raise UsageError(f"eta = {eta:g} draws noise, which the steps of order 1 alone have: set order=1")
        self.points, self.eta = order, eta

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        u_0 = p.seen(self.denoiser(x_t, t, cond).mean)
        here, there = flat(t), flat(s)
        b_t, b_s = p.clock(here), p.clock(there)
        rest = x_t - apply(p.flow(b_t), u_0)
        carried = p.carry(here, there)
        if self.eta > 0:
            noisy = there > 0  # the last step is without noise
            eased = torch.where(noisy, there, here)
            matrix = torch.where(noisy[..., None, None], p.carry(here, eased, self.eta), carried)
            left = p.unseen(p.clock(eased)) - matrix @ p.unseen(b_t) @ matrix.mT
            spread = root(torch.where(noisy[..., None, None], left, torch.zeros_like(left)))
            noise = apply(spread, rng.between(x_t, t, s))
            return apply(p.flow(b_s), u_0) + apply(matrix, rest) + noise, None
        x_s = apply(p.flow(b_s), u_0) + apply(carried, rest)
        if self.points == 1:
            return x_s, None
        if state is not None:
            before, old = state
            slope = (apply(p.carry(before, here), old) - rest) / (before - here).reshape(t.shape).to(x_t)
            x_s = x_s + apply(self._line(here, there, carried), slope)
        return x_s, (here, rest)

    def _line(self, t: Tensor, s: Tensor, carried: Tensor) -> Tensor:
        r"""int_t^s (r - t) d[Psi(s, r) carry(t, r)]/dr dr, by parts; 0 where s = 0, for the carried rest has no limit there."""
        p = self.process
        nodes = _NODES.to(t.device).reshape(-1, *[1] * t.ndim)
        r = t + (s - t) * nodes
        many = r.flatten()
        path = p.flow(p.clock(s.expand(r.shape).flatten()) - p.clock(many))
        path = path @ p.carry(t.expand(r.shape).flatten(), many)
        path = path.reshape(*r.shape, p.parts, p.parts)
        mean = (path * _WEIGHTS.to(t.device).reshape(*nodes.shape, 1, 1)).sum(0)
        line = (s - t)[..., None, None] * (carried - mean)
        return torch.where((s > 0)[..., None, None], line, torch.zeros_like(line))
