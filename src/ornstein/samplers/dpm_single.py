r"""DPM-Solver of orders 2 and 3 and DPM-Solver++ 2S: one step at a time, with evaluations inside it.

lambda = log(alpha/sigma), h = lambda_s - lambda_t; r is the part of h at which the network is asked again. Inner times are
equally spaced in lambda, or in log t where each coordinate has a level of its own, and r is then what it comes to in each.
Steps from alpha = 0 and to t = 0, infinite in lambda, are DDIM's (which is DPM-Solver-1) and cost one evaluation.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import every, exponential_euler, level_between


class SingleStep(DenoisingSampler):
    """What they share: which rows take the inner evaluations."""

    needs = Affine

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        first = exponential_euler(p, x_t, t, s, x_0)
        inner = every(torch.isfinite(p.log_snr(t)) & torch.isfinite(p.log_snr(s)), t)
        if not bool(inner.any()):
            return first, None
        # Rows whose result is discarded take a finite step of their own.
        begin, end = torch.where(inner, t, torch.full_like(t, 0.6)), torch.where(inner, s, torch.full_like(s, 0.5))
        return torch.where(inner, self._inner(x_t, begin, end, x_0, cond), first), None

    def _part(self, t: Tensor, s: Tensor, u: Tensor) -> Tensor:
        """(lambda_u - lambda_t)/(lambda_s - lambda_t)."""
        p = self.process
        start = p.log_snr(t)
        part: Tensor = (p.log_snr(u) - start) / (p.log_snr(s) - start)
        return part

    @abstractmethod
    def _inner(self, x_t: Tensor, t: Tensor, s: Tensor, x_0: Tensor, cond: Cond) -> Tensor:
        """x_s for a step that is finite in lambda, from E[x_0] at t."""


@final
class DPMSolver2(SingleStep):
    r"""x_s = alpha_s/alpha_t x_t - sigma_s (e^h - 1)(eps_t + (eps_u - eps_t)/(2r)), r = 1/2: order 2.

    Lu et al. 2022, 2206.00927, algorithm 1. Written in sigma/alpha it is the midpoint method with the middle of log sigma:
    k-diffusion's DPM2, diffusers' KDPM2.
    """

    order: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2

    def _inner(self, x_t: Tensor, t: Tensor, s: Tensor, x_0: Tensor, cond: Cond) -> Tensor:
        p = self.process
        u = level_between(p, t, s, 0.5)
        x_u = exponential_euler(p, x_t, t, u, x_0)
        change = p.eps(x_u, u, self.denoiser(x_u, u, cond).mean) - p.eps(x_t, t, x_0)
        h = (p.log_snr(s) - p.log_snr(t)) / 2
        (weight,) = cast(x_t, p.sigma(s) * torch.expm1(h) / (2 * self._part(t, s, u)))
        x_s: Tensor = exponential_euler(p, x_t, t, s, x_0) - weight * change
        return x_s


@final
class DPMSolver3(SingleStep):
    r"""The network at r_1 = 1/3 and r_2 = 2/3 of the step: order 3. Lu et al. 2022, 2206.00927, algorithm 2.

    x_v = alpha_v/alpha_t x_t - sigma_v (e^{r_2 h} - 1) eps_t - sigma_v r_2/r_1 ((e^{r_2 h} - 1)/(r_2 h) - 1)(eps_u - eps_t)
    x_s = alpha_s/alpha_t x_t - sigma_s (e^h - 1) eps_t - sigma_s/r_2 ((e^h - 1)/h - 1)(eps_v - eps_t)
    """

    order: ClassVar[int] = 3
    evaluations: ClassVar[int] = 3

    def _inner(self, x_t: Tensor, t: Tensor, s: Tensor, x_0: Tensor, cond: Cond) -> Tensor:
        p = self.process
        u, v = level_between(p, t, s, 1 / 3), level_between(p, t, s, 2 / 3)
        r_1, r_2 = self._part(t, s, u), self._part(t, s, v)
        h = (p.log_snr(s) - p.log_snr(t)) / 2
        eps_t = p.eps(x_t, t, x_0)
        x_u = exponential_euler(p, x_t, t, u, x_0)
        eps_u = p.eps(x_u, u, self.denoiser(x_u, u, cond).mean)
        (weight,) = cast(x_t, p.sigma(v) * r_2 / r_1 * (torch.expm1(r_2 * h) / (r_2 * h) - 1))
        x_v = exponential_euler(p, x_t, t, v, x_0) - weight * (eps_u - eps_t)
        eps_v = p.eps(x_v, v, self.denoiser(x_v, v, cond).mean)
        (weight,) = cast(x_t, p.sigma(s) / r_2 * (torch.expm1(h) / h - 1))
        x_s: Tensor = exponential_euler(p, x_t, t, s, x_0) - weight * (eps_v - eps_t)
        return x_s


@final
class DPMSolverPP2S(SingleStep):
    r"""x_s = sigma_s/sigma_t x_t - alpha_s (e^{-h} - 1) ((1 - 1/(2r)) x_0 + x_0^u/(2r)), r = 1/2: order 2.

    DPM-Solver-2 on the prediction of x_0. Lu et al. 2022, 2211.01095, algorithm 1.
    """

    order: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2

    def _inner(self, x_t: Tensor, t: Tensor, s: Tensor, x_0: Tensor, cond: Cond) -> Tensor:
        p = self.process
        u = level_between(p, t, s, 0.5)
        x_0u = self.denoiser(exponential_euler(p, x_t, t, u, x_0), u, cond).mean
        (weight,) = cast(x_t, 1 / (2 * self._part(t, s, u)))
        return exponential_euler(p, x_t, t, s, x_0 + weight * (x_0u - x_0))
