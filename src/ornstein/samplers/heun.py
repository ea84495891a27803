"""Heun's method: the probability flow in time t, and EDM's form of it in sigma with churn."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.flow import velocity


@final
class Heun(DenoisingSampler):
    r"""x_s = x_t + (s - t) (v_t + v_s') / 2, v_s' at the Euler prediction; order 2 in t.

    The step to t = 0, where the flow's velocity is not defined, returns E[x_0] and costs one evaluation.
    """

    needs = Affine
    order: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        x_0 = self.denoiser(x_t, t, cond).mean
        inner = s > 0
        if not bool(inner.any()):
            return x_0, None
        (h,) = cast(x_t, s - t)
        v_t = velocity(self.process, x_t, t, x_0)
        x_s = x_t + h * v_t
        at = torch.where(inner, s, t)  # rows that end here are evaluated where they are, and discarded
        v_s = velocity(self.process, x_s, at, self.denoiser(x_s, at, cond).mean)
        return torch.where(inner, x_t + h * (v_t + v_s) / 2, x_0), None


@final
class EDMHeun(DenoisingSampler):
    r"""EDM's sampler, algorithm 2: raise the noise by churn, then Heun on y = x/alpha in sigma = sigma_t/alpha_t.

    gamma = min(churn/N, sqrt(2) - 1) for s_min <= sigma <= s_max, sigma^ = sigma (1 + gamma), y^ = y + sqrt(sigma^^2 -
    sigma^2) s_noise z; then d = (y^ - x_0)/sigma^, averaged over both ends. Order 2 in sigma without churn; the last
    step, to 0, is Euler's. ``steps`` is N, needed only with churn. Karras et al. 2022. Where alpha_t = 0 (flow matching at
    t = 1) sigma is infinite, and that one step is DDIM's.
    """

    needs = Affine
    order: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2

    def __init__(
        self,
        denoiser: Denoiser,
        churn: float = 0.0,
        steps: int | None = None,
        s_min: float = 0.0,
        s_max: float = math.inf,
        s_noise: float = 1.0,
    ):
        super().__init__(denoiser)
        if churn < 0:
            raise UsageError(f"churn must be >= 0, got {churn}")
        if churn > 0 and (steps is None or steps < 1):
            raise UsageError("churn is spread over the steps: give steps, the number of steps in the grid")
        if not 0 <= s_min <= s_max:
            raise UsageError(f"churn needs 0 <= s_min <= s_max, got {s_min} and {s_max}")
        if s_noise < 0:
            raise UsageError(f"s_noise must be >= 0, got {s_noise}")
        self.churn, self.steps, self.s_min, self.s_max, self.s_noise = churn, steps, s_min, s_max, s_noise

    def _churn(self, x_t: Tensor, t: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        p = self.process
        assert self.steps is not None
        sigma = p.sigma(t) / p.alpha(t)
        seen = torch.isfinite(sigma)  # where there is no signal there is no more noise to add
        sigma = torch.where(seen, sigma, torch.ones_like(sigma))
        gamma = torch.where(
            seen & (sigma >= self.s_min) & (sigma <= self.s_max), min(self.churn / self.steps, math.sqrt(2) - 1), 0.0
        )
        # Never beyond the noisiest level that the process has.
        top = torch.tensor(p.t_max, dtype=torch.float64, device=x_t.device)
        up = p.time(-2 * (sigma * (1 + gamma)).log()).clamp(max=top)
        up = torch.where(seen, torch.maximum(up, t), t)
        alpha_up, sigma_up = p.alpha(up), p.sigma(up) / p.alpha(up)
        add = (sigma_up**2 - sigma**2).clamp_min(0).sqrt() * self.s_noise * alpha_up
        keep = torch.where(seen, alpha_up / p.alpha(t).clamp_min(1e-300), torch.ones_like(sigma))
        a, b = cast(x_t, keep, torch.where(seen, add, torch.zeros_like(add)))
        return a * x_t + b * rng.normal_like(x_t), up

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        if self.churn > 0:
            x_t, t = self._churn(x_t, t, rng)
        x_0 = self.denoiser(x_t, t, cond).mean
        ratio = p.sigma(s) / p.sigma(t)
        a, b = cast(x_t, ratio, p.alpha(s) - ratio * p.alpha(t))
        x_s = a * x_t + b * x_0
        finite = p.alpha(t) > 0
        if finite.shape != t.shape:  # an alpha for each coordinate: one decision a sample, for `at` below is a time
            finite = finite.all() if t.ndim == 0 else finite.flatten(1).all(1).reshape(t.shape)
        twice = (s > 0) & finite
        if not bool(twice.any()):
            return x_s, None
        at = torch.where(twice, s, t)
        x_0s = self.denoiser(x_s, at, cond).mean
        # y_s = y_t + (sigma_s - sigma_t)(d_t + d_s)/2 relative to Euler's y_s: add (sigma_s - sigma_t)(d_s - d_t)/2.
        h = p.sigma(at) / p.alpha(at) - p.sigma(t) / p.alpha(t)
        (half,) = cast(x_t, p.alpha(at) * h / 2)
        eps_s, eps_t = p.eps(x_s, at, x_0s), p.eps(x_t, t, x_0)
        return torch.where(twice, x_s + half * (eps_s - eps_t), x_s), None
