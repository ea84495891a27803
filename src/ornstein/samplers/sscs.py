"""SSCS: the linear part of the reverse SDE solved exactly, the score in between."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.blocks import apply, root
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.processes.linear import LinearProcess, flat
from ornstein.samplers.base import DenoisingSampler, State


@final
class SSCS(DenoisingSampler):
    r"""Symmetric splitting: half a step of the prior's own reverse dynamics with its noise, u <- u + h N (score + S^{-1} u), half
    a step again.

    The reverse SDE is an Ornstein-Uhlenbeck process that keeps the prior N(0, S), solved exactly, and what the score differs
    from the prior's. As in the authors' code the score is asked at the step's first time t and moved along by Euler, which
    makes the whole of order 1, with a small constant where the law is near the prior. The step to t = 0 returns E[u_0].
    Dockhorn, Vahdat & Kreis 2021, 2112.07068, section 3.3.
    """

    needs = LinearProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        inner = s > 0
        h = (p.clock(flat(t)) - p.clock(flat(s)))[..., None, None]
        prior = p.stationary().to(h.device)
        back = prior @ torch.linalg.solve(prior, p.flow(h[..., 0, 0] / 2)).mT  # S Psi' S^{-1}: Psi run backwards
        half = root(prior - back @ prior @ back.mT)
        middle = apply(back, x_t) + apply(half, rng.normal_like(x_t))
        posterior = self.denoiser(torch.where(inner, middle, x_t), t, cond)
        if not bool(inner.any()):
            return posterior.mean, None
        kick = h * p.noise().to(h.device)
        beyond = p.score(middle, t, posterior) + apply(torch.linalg.inv(prior), middle)
        moved = middle + apply(kick, beyond)
        x_s = apply(back, moved) + apply(half, rng.normal_like(x_t))
        return torch.where(inner, x_s, posterior.mean), None
