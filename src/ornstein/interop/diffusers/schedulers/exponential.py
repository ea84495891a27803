r"""DPM-Solver's step as diffusers writes it: four algorithms, orders 1 to 3, two ways to use a slope.

lambda = log(alpha/sigma), h = lambda_s - lambda_t, and m is the prediction of x_0 (``++``) or of eps. With D_0 = m and divided
differences D_1, D_2 of m in units of h, x_s = keep x_t + g_0 D_0 + g_1 D_1 + g_2 D_2 + noise z. Lu et al. 2022, 2206.00927 and
2211.01095.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine, GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State

Algorithm = Literal["dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver"]


@dataclass(frozen=True)
class Update:
    """One step's arithmetic."""

    process: Affine
    algorithm: Algorithm
    midpoint: bool
    """whether a slope D_1 counts as in the midpoint rule; its integral is exact otherwise (``heun``)"""

    @property
    def data(self) -> bool:
        """Whether m is the prediction of x_0."""
        return self.algorithm.endswith("++")

    @property
    def noisy(self) -> bool:
        """Whether a step draws noise."""
        return self.algorithm.startswith("sde")

    def value(self, x_t: Tensor, t: Tensor, x_0: Tensor) -> Tensor:
        """m."""
        return x_0 if self.data else self.process.eps(x_t, t, x_0)

    def level(self, t: Tensor) -> Tensor:
        """lambda."""
        return self.process.log_snr(t) / 2

    def move(
        self, x: Tensor, t: Tensor, s: Tensor, d: Sequence[Tensor], z: Tensor | None, exact: bool = False
    ) -> Tensor:
        """x_s from x at t; ``d`` holds D_0, D_1, ..., and ``exact`` integrates the slope exactly whatever the rule."""
        p, h = self.process, self.level(s) - self.level(t)
        k = 2.0 if self.noisy else 1.0
        if self.data:
            keep, noise = p.sigma(s) / p.sigma(t) * ((-h).exp() if self.noisy else 1.0), (-torch.expm1(-2 * h)).sqrt()
            first = -torch.expm1(-k * h)
            scale, slope = p.alpha(s), 1 - first / (k * h)
            # The sign of the half is diffusers' own; it makes the order 3 of its SDE form a 1.
            curve = (first - k * h) / (k * h) ** 2 + (-0.5 if self.noisy else 0.5)
        else:
            keep, noise = p.alpha(s) / p.alpha(t), torch.expm1(2 * h).sqrt()
            first = torch.expm1(h)
            scale, slope = -k * p.sigma(s), first / h - 1
            curve = (first - h) / h**2 - 0.5
        gains = [first, first / 2 if self.midpoint and not exact else slope, curve]
        (a,) = cast(x, keep)
        x_s = a * x
        for gain, part in zip(gains, d, strict=False):
            (g,) = cast(x, scale * gain)
            x_s = x_s + g * part
        if z is None:
            return x_s
        (c,) = cast(x, p.sigma(s) * noise)
        return x_s + c * z


def by_step(grid: Tensor, numbers: Sequence[int]) -> dict[float, int]:
    """A number for each step, by the time at which it starts; the first ones where there are more numbers than steps."""
    return {float(t): n for t, n in zip(grid[:-1], numbers, strict=False)}


def tapered(order: int, steps: int, ends: Sequence[int]) -> list[int]:
    """The order of each step: ``ends[0]`` at most in the last, ``ends[1]`` in the one before it, ..."""
    return [min(order, ends[steps - 1 - i]) if steps - 1 - i < len(ends) else order for i in range(steps)]


@final
class Multistep(DenoisingSampler):
    """DPM-Solver with a memory. State: (lambda, m) of the former steps. ``orders`` are the most allowed in each step."""

    needs = GaussianProcess

    def __init__(self, denoiser: Denoiser, algorithm: Algorithm, midpoint: bool, grid: Tensor, orders: Sequence[int]):
        super().__init__(denoiser)
        self.update = Update(self.process, algorithm, midpoint)
        self.memory, self.orders = max(orders), by_step(grid, orders)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        u = self.update
        here = u.level(t), u.value(x_t, t, self.denoiser(x_t, t, cond).mean)
        known = (here, *(state or ()))
        order = min(len(known), self.orders[float(t.flatten()[0])])
        z = rng.between(x_t, t, s) if u.noisy else None
        parts, h = [here[1]], u.level(s) - here[0]
        if order > 1:
            last = known[0][0] - known[1][0]
            parts.append(cast(x_t, h / last)[0] * (known[0][1] - known[1][1]))
        if order > 2:
            before = known[1][0] - known[2][0]
            bend = parts[1] - cast(x_t, h / before)[0] * (known[1][1] - known[2][1])
            share, curve = cast(x_t, last / (last + before), h / (last + before))
            parts = [parts[0], parts[1] + share * bend, curve * bend]
        return u.move(x_t, t, s, parts, z, exact=order > 2), known[: self.memory - 1]


@final
class Singlestep(DenoisingSampler):
    """DPM-Solver in blocks of 1, 2 or 3 steps, each block from the state at which it began.

    State: that state and its time, and the last values (lambda, m). ``orders`` count up within a block.
    """

    needs = GaussianProcess

    def __init__(self, denoiser: Denoiser, algorithm: Algorithm, midpoint: bool, grid: Tensor, orders: Sequence[int]):
        super().__init__(denoiser)
        self.update = Update(self.process, algorithm, midpoint)
        self.orders = by_step(grid, orders)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        u, order = self.update, self.orders[float(t.flatten()[0])]
        begin, known = ((x_t, t), ()) if order == 1 else state
        known = ((u.level(t), u.value(x_t, t, self.denoiser(x_t, t, cond).mean)), *known)
        z = rng.between(x_t, t, s) if u.noisy else None
        base, h = known[order - 1], u.level(s) - u.level(begin[1])
        places = [(level - base[0]) / h for level, _ in known[: order - 1]]  # newest first
        slopes = [cast(x_t, 1 / r)[0] * (m - base[1]) for r, (_, m) in zip(places, known[: order - 1], strict=True)]
        parts = [base[1], *slopes[:1]]
        if order == 3 and not u.midpoint:
            a, b, c = cast(x_t, places[0], places[1], 1 / (places[0] - places[1]))
            parts = [base[1], c * (a * slopes[1] - b * slopes[0]), 2 * c * (slopes[0] - slopes[1])]
        return u.move(begin[0], begin[1], s, parts, z, exact=order == 3), (begin, known)
