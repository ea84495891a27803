"""Guidance by depth: two readings of a sample's depth shall agree, and look like a depth map."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.core.rng import Stream
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.denoisers.depth import DepthHeads
from ornstein.guidance.branches import moved
from ornstein.guidance.tilt import require_gaussian, tilted
from ornstein.processes.base import GaussianProcess


@final
class DepthAware(Denoiser):
    r"""score - consistency grad |sg(d_S) - d_W|^2 - prior grad |eps - eps_phi(alpha_l d_S + sigma_l eps, l)|^2, t <= ``until``.

    d_S and d_W are the depths that the heads read of many and of few layers, sg stops the gradient, eps_phi is a denoiser of
    depth maps at the level l. Squares are sums over pixels, and gradients go through the network. The noise eps of a step
    depends on t alone, so that a sample depends on its own seed only. Kim et al. 2022, 2212.08861, eq. 9 to 12.
    """

    process: GaussianProcess

    def __init__(
        self,
        denoiser: Preconditioned,
        heads: DepthHeads,
        depth: Preconditioned | None,
        consistency: float = 1.0,
        prior: float = 0.0,
        level: float = 0.3,
        until: float = 0.8,
    ):
        super().__init__()
        for name, weight in (("consistency", consistency), ("prior", prior)):
            if not (math.isfinite(weight) and weight >= 0):
                raise UsageError(f"{name}, a weight, must be finite and at least 0, got {weight}")
        if not 0 < level <= 1 or not 0 <= until <= 1:
            raise UsageError(f"guidance by depth needs level in (0, 1] and until in [0, 1], got {level} and {until}")
        if prior and depth is None:
            raise UsageError("guidance by a prior of depth needs a denoiser of depth maps")
        heads.require()
        self.denoiser, self.process = denoiser, require_gaussian("guidance by depth", denoiser)
        self.heads, self.depth = heads, depth
        self.consistency, self.prior, self.level, self.until = consistency, prior, level, until

    def losses(self, strong: Tensor, weak: Tensor, t: Tensor) -> Tensor:
        """The weighted sum of both, ``[B]``."""
        total = self.consistency * (strong.detach() - weak).square().flatten(1).sum(1)
        if not self.prior or self.depth is None:
            return total
        process = self.depth.process
        at = expand(torch.tensor(self.level, dtype=torch.float64, device=strong.device), strong)
        eps = Stream(int(float(t.reshape(-1)[0]) * 2**32)).normal((1, *strong.shape[1:]), device=strong.device)
        d_t = (process.alpha(at) * strong + process.sigma(at) * eps).to(strong)
        found = process.eps(d_t, at, self.depth(d_t, at).mean)
        return total + self.prior * (eps - found).square().flatten(1).sum(1)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        if not self.consistency and not self.prior:
            return self.denoiser(x_t, t, cond)
        with torch.enable_grad():
            x = x_t.detach().requires_grad_()
            out, strong, weak = self.heads(self.denoiser, x, t, cond)
            (gradient,) = torch.autograd.grad(self.losses(strong, weak, t).sum(), x)
        if not bool(gradient.isfinite().all()):
            raise OrnsteinError("the gradient of the depths is not finite; take smaller weights")
        posterior = self.denoiser.parametrization.posterior(self.denoiser.process, out.detach(), x_t, t)
        gradient = torch.where(t <= self.until, gradient, torch.zeros_like(gradient))
        return moved(posterior, tilted(self.process, posterior.mean, t, -gradient))
