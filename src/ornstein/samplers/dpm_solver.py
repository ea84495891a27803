"""DPM-Solver++: exponential integrators for the probability flow in log-SNR, on the data prediction."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State


@final
class DPMSolverPP2M(DenoisingSampler):
    r"""DPM-Solver++ 2M: x_s = sigma_s/sigma_t x_t - alpha_s (e^{-h} - 1) D, D = (1 + 1/(2r)) x_0 - 1/(2r) x_0^prev.

    lambda = log(alpha/sigma), h = lambda_s - lambda_t, r = h^prev/h. Order 2 with one evaluation a step; the first step
    and the step to t = 0 (h infinite) are first order. State: (lambda_t, x_0) of the former step.
    Lu et al. 2022, 2211.01095, algorithm 2.
    """

    needs = Affine
    order: ClassVar[int] = 2

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        lambda_t = p.log_snr(t) / 2
        h = p.log_snr(s) / 2 - lambda_t
        d = x_0
        if state is not None:
            lambda_prev, x_0_prev = state
            # 1/(2r) is 0 after an infinite step (from alpha = 0) and must be 0 in one (to sigma = 0).
            slope = torch.where(torch.isfinite(h), h / (2 * (lambda_t - lambda_prev)), torch.zeros_like(h))
            (slope,) = cast(x_t, slope)
            d = x_0 + slope * (x_0 - x_0_prev)
        a, b = cast(x_t, p.sigma(s) / p.sigma(t), -p.alpha(s) * torch.expm1(-h))
        return a * x_t + b * d, (lambda_t, x_0)
