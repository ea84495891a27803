r"""SASolverScheduler: stochastic Adams steps, predicted and corrected, on x_0 or on eps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.interop.diffusers.schedulers.exponential import by_step
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.sa_solver import adams

Known = tuple[tuple[Tensor, Tensor], ...]
"""(lambda, prediction), the newest first"""


@final
class AdamsStep(DenoisingSampler):
    r"""x_s = keep x_t + sum_i b_i m_i + noise z, corrected with the same z once m at s is known. Xue et al. 2023, 2309.05019.

    m is x_0 (``data``), or eps with the weight e^{-lambda}, which is diffusers' own and no exact SDE step. tau is 1 for times in
    ``between``; a step of no length ends where the former one is corrected to. ``orders[i]`` are the predictor's order in step i
    and that of the corrector after it. On x_0 two values use the authors' O(h^3) variant of the integral.
    """

    needs = GaussianProcess

    def __init__(
        self,
        denoiser: Denoiser,
        data: bool,
        between: tuple[float, float],
        grid: Tensor,
        orders: Sequence[tuple[int, int]],
    ):
        super().__init__(denoiser)
        self.data, self.between = data, between
        self.predictors, self.correctors = by_step(grid, [p for p, _ in orders]), by_step(grid, [c for _, c in orders])
        self.memory = max(max(p, c - 1) for p, c in orders)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        here = p.log_snr(t) / 2, x_0 if self.data else p.eps(x_t, t, x_0)
        known: Known = ()
        if state is not None:
            (x, begin, tau, z, order), known = state
            x_t = self._move(x, begin, t, tau, z, (here, *known)[:order])
        known = (here, *known)[: self.memory]
        low, high = self.between
        tau = ((t >= low) & (t <= high)).to(t)
        z, at = rng.between(x_t, t, s), float(t.flatten()[0])
        x_s = self._move(x_t, t, s, tau, z, known[: self.predictors[at]])
        return x_s, ((x_t, t, tau, z, self.correctors[at]), known)

    def _move(self, x: Tensor, t: Tensor, s: Tensor, tau: Tensor, z: Tensor, known: Known) -> Tensor:
        p = self.process
        level, end = p.log_snr(t) / 2, p.log_snr(s) / 2
        h, k = end - level, 1 + tau**2
        if not bool(h.any()):
            return x
        nodes = [end - at for at, _ in known]
        if self.data:
            keep, noise = p.sigma(s) / p.sigma(t) * (-(tau**2) * h).exp(), (-torch.expm1(-2 * tau**2 * h)).sqrt()
            weights = [p.alpha(s) * w for w in self._integrals(k, h, nodes)]
        else:
            keep, noise = p.alpha(s) / p.alpha(t), tau * torch.expm1(2 * h).sqrt()
            # int_0^h e^u P(u) du is that of adams at k = -1, which is multiplied by k there.
            weights = [p.sigma(s) * k * w for w in adams(-torch.ones_like(h), h, nodes)]
        a, c = cast(x, keep, p.sigma(s) * noise)
        x_s = a * x + c * z
        for weight, (_, m) in zip(weights, known, strict=True):
            (w,) = cast(x, weight)
            x_s = x_s + w * m
        return x_s

    def _integrals(self, k: Tensor, h: Tensor, nodes: list[Tensor]) -> list[Tensor]:
        """k int_0^h e^{-k u} L_i(u) du."""
        if len(nodes) != 2:
            return adams(k, h, nodes)
        first = 0 if bool((nodes[0] >= h * (1 - 1e-9)).all()) else 1  # the value at t
        slope = k * h**2 / 2 / (nodes[1] - nodes[0])
        found = [slope, -slope]
        found[first] = found[first] - torch.expm1(-k * h)
        return found
