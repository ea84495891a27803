"""Consistent annealed sampling: Langevin moves whose noise stays on the schedule."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import every


@final
class ConsistentAnnealed(DenoisingSampler):
    r"""y_s = y_t + eta (x_0 - y_t) + beta sigma_s z, beta = sqrt(1 - ((1 - eta)/gamma)^2), gamma = sigma_s/sigma_t.

    y = x/alpha and sigma are in units of the data. One score step of size eta sigma_t^2 at each level, and as much new noise
    as makes the noise in y exactly sigma_s; annealed Langevin's noise exceeds it. eta must lie in [1 - gamma, 1 + gamma); at
    1 - gamma there is no noise and the step is DDIM's. ``eta`` fixes it (the paper's, on a geometric grid); by default it
    is ``scale`` (1 - gamma), which fits any grid: weak order 1. ``scale`` 1.55 is the paper's setting on CIFAR-10. The step
    to t = 0 returns E[x_0]. Jolicoeur-Martineau et al. 2020, 2009.05475, algorithm 2.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, scale: float = 1.55, eta: float | None = None):
        super().__init__(denoiser)
        if scale < 1:
            raise UsageError(f"scale must be at least 1: a smaller step does not reach the next level; got {scale}")
        if eta is not None and not 0 < eta < 2:
            raise UsageError(f"eta must lie in (0, 2), within 1 -+ gamma at every step; got {eta}")
        self.scale, self.eta = scale, eta

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        alpha_s, sigma_s = p.alpha(s), p.sigma(s)
        gamma = ((p.log_snr(t) - p.log_snr(s)) / 2).exp()
        inner = every((gamma > 0), t)  # not from alpha = 0, not to sigma = 0: there eta = 1, nothing of x_t remains
        keep = 1 - self.scale * (1 - gamma) if self.eta is None else torch.full_like(gamma, 1 - self.eta)
        if self.eta is not None and bool((inner & (keep.abs() > gamma)).any()):
            bad = float(gamma[(keep.abs() > gamma) & (gamma > 0)].min())
            raise UsageError(
                f"eta = {self.eta:g} lies outside [1 - gamma, 1 + gamma) of the step with gamma = {bad:.4g}; take levels "
                "that are closer, another eta, or scale in place of eta"
            )
        # With a scale a long step may ask for more than 1 + gamma: it takes the largest that there is.
        keep = torch.where(inner, torch.maximum(keep, -gamma), torch.zeros_like(keep))
        ratio = torch.where(inner, keep / gamma.clamp_min(1e-300), torch.zeros_like(keep))
        noise = sigma_s * (1 - ratio**2).clamp_min(0).sqrt()
        # keep y_t = keep (x_0 + sigma_t eps), with alpha_s keep/alpha_t = ratio sigma_s/sigma_t.
        back = ratio * sigma_s / p.sigma(t)
        x_0 = self.denoiser(x_t, t, cond).mean
        a, b, c = cast(x_t, back, alpha_s - back * p.alpha(t), noise)
        return a * x_t + b * x_0 + c * rng.between(x_t, t, s), None
