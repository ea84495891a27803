"""Hybrid score matching: noise of the velocities is regressed, with the first velocity integrated out."""

from __future__ import annotations

from typing import final

import torch

from ornstein.codecs.velocity import WithVelocity
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.blocks import apply
from ornstein.core.errors import UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, mean_rest
from ornstein.denoisers.hybrid_score import HybridScore
from ornstein.objectives.times import Times
from ornstein.processes.linear import flat


@final
class HybridScoreMatching:
    r"""E |eps_v - alpha(u_t, t)|^2 with u_t = e^{-A b} (x_0, 0) + L (eps_x, eps_v), L Cholesky's factor of Cov[u_t | x_0].

    Denoising score matching from (x_0, v_0) has weights without bound at t = 0; here they stay finite, for v_0 is averaged
    over. Dockhorn et al. 2021, 2112.07068, eq. 8 with the weights of its section 3.2.
    """

    def __init__(self, denoiser: HybridScore, codec: WithVelocity, times: Times, cond_dropout: float = 0.0):
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.times, self.cond_dropout = denoiser, codec, times, cond_dropout
        self.process = denoiser.process

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        cond, p = batch.cond, self.process
        with torch.no_grad():
            x_0 = self.codec.inner.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        t = expand(self.times(rng, len(x_0)).to(x_0.device), x_0)
        known = torch.cat([x_0, torch.zeros_like(x_0)], 1)
        eps = rng.normal_like(known)
        b = p.clock(flat(t))
        u_t = apply(p.flow(b), known) + apply(torch.linalg.cholesky(p.unseen(b)), eps)
        error = mean_rest((self.denoiser.output(u_t, t, cond) - eps.chunk(2, 1)[1]) ** 2)
        return Loss(error.mean(), levels=(t.detach().reshape(-1), error.detach()))
