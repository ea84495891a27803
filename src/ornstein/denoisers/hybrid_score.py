"""The network of critically-damped Langevin diffusion: the score of velocities given positions."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.blocks import BlockGaussian, apply
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError
from ornstein.core.shapes import cast, expand, per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Process
from ornstein.processes.cld import CLD
from ornstein.processes.linear import flat


@final
class HybridScore(Denoiser):
    r"""grad_v log p(u_t) = -alpha/l_vv with alpha = l_vv v/Var[v] + network(x, v/sqrt(M); 1000 t): the mixed score.

    q(u_t | x_0) is linear in x_0 alone, so one number for each coordinate, alpha ~ eps_v, says x_0 and with it the posterior of
    the whole first state: v_0 given x_0 and u_t is Gaussian. The network reads ``[B, 2 C, ...]`` and gives
    ``[B, C, ...]``. ``mixed`` False leaves the Gaussian's own score out. Dockhorn et al. 2021, 2112.07068, section 3.2.
    """

    process: CLD

    def __init__(self, network: nn.Module, process: Process, mixed: bool = True):
        super().__init__()
        if not isinstance(process, CLD):
            raise CapabilityError(f"hybrid score matching needs CLD, got {type(process).__name__}")
        self.network, self.process, self.mixed = network, process, mixed
        self.autocast: torch.dtype | None = None

    def output(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        """alpha ``[B, C, ...]``, which hybrid score matching regresses on eps_v."""
        t = expand(t, x_t)
        x, v = x_t.chunk(2, 1)
        scaled = torch.cat([x, v / self.process.mass**0.5], 1)
        noise = per_sample(1000 * t, len(x_t)).to(x_t.dtype)
        with torch.autocast(x_t.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            out = self.network(scaled, noise, cond)
        out = out.to(x_t.dtype)
        if not self.mixed:
            return out
        _, l_vx, l_vv = self.process.factor(t)
        (share,) = cast(x_t, l_vv / (l_vx**2 + l_vv**2))
        return share * v + out

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> BlockGaussian:
        t = expand(t, x_t)
        p = self.process
        l_xx, l_vx, l_vv = p.factor(t)
        b = p.clock(flat(t))
        flow, start = p.flow(b), p.gamma * p.mass
        seen = flow[..., :, 0].reshape(*t.shape, 2) if t.ndim else flow[:, 0]
        ratio = l_vx / l_xx
        # v - ratio x has no part of x's noise: what is left of it is x_0 and eps_v.
        scale = seen[..., 1] - ratio * seen[..., 0]
        x, v = x_t.chunk(2, 1)
        by_v, by_x, by_eps = cast(x_t, 1 / scale, ratio / scale, l_vv / scale)
        x_0 = by_v * v - by_x * x - by_eps * self.output(x_t, t, cond)
        known = torch.cat([x_0, torch.zeros_like(x_0)], 1)
        unseen = p.unseen(b)
        kicked = start * flow[..., :, 1]  # Cov[u_t, v_0 | x_0]
        gain = torch.linalg.solve(unseen, kicked)
        zero = torch.zeros_like(gain)
        first = known + apply(torch.stack([zero, gain], -2), x_t - apply(flow, known))
        left = (start - (gain * kicked).sum(-1)).clamp_min(0)
        none = torch.zeros_like(left)
        cov = torch.stack([torch.stack([none, none], -1), torch.stack([none, left], -1)], -2)
        return BlockGaussian(first, cov)
