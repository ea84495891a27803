"""PNDMScheduler: one call of the network after another along diffusers' own list of time steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.parametrizations import V
from ornstein.interop.diffusers.schedulers import spacing
from ornstein.interop.diffusers.schedulers.words import Plan, Scheduler, entries, output, require, table_process
from ornstein.processes.base import Affine
from ornstein.processes.remember import recall
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.pndm import ADAMS

HAIR = 2.0**-40
"""What lies between two calls at the same time step: a grid decreases strictly, and no network or table sees so little."""


class Calls(NamedTuple):
    """What the calls so far leave to the next."""

    made: int
    known: tuple[Tensor, ...]
    """former values, the newest first"""
    begin: Tensor
    """the state that a step of several calls began with"""
    total: Tensor
    """the sum of that step's values"""


@final
class Pseudo(DenoisingSampler):
    r"""Three Runge-Kutta steps of four calls, or one of Heun's kind with two, then linear multistep. Liu et al. 2022, 2202.09778.

    A step of the grid is one call of the network. diffusers knows by their number alone which calls belong together, whatever
    time step they are made at: a walk that begins in the middle of its list (a picture and a strength) takes the first two calls
    for Heun's step, and from the third on tells the network a time one stride below that which the state has reached. So does
    this, for the pictures to be the same; what is put back between two calls (inpainting) is seen by the second.

    ``begins`` are the times of the Runge-Kutta steps, empty for Heun's. Values are eps, or v, whose mean is then read as eps.
    """

    needs = Affine

    def __init__(self, denoiser: Denoiser, stride: float, half: float, last: float, begins: Sequence[float], v: bool):
        super().__init__(denoiser)
        self.stride, self.half, self.last, self.begins, self.v = stride, half, last, tuple(begins), v

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        calls, known, begin, total = Calls(0, (), x_t, x_t) if state is None else state
        x_0 = self.denoiser(x_t, t, cond).mean
        value = V().target(self.process, x_0, x_t, t) if self.v else self.process.eps(x_t, t, x_0)
        x, at, end = x_t, t, t - self.stride
        if calls < 4 * len(self.begins):
            inner = calls % 4
            if inner == 0:
                known, begin, total = (value, *known), x_t, value / 6
            elif inner < 3:
                total = total + value / 3
            else:
                value = total + value / 6
            x, at, end = begin, torch.full_like(t, self.begins[calls // 4]), t if inner % 2 else t - self.half
        elif calls == 0:
            known, begin = (value,), x_t
        elif calls == 1:
            x, at, end, value = begin, t + self.stride, t, (value + known[0]) / 2
        else:
            known = (value, *known[:3])
            value = sum((w * k for w, k in zip(ADAMS[len(known) - 1], known, strict=True)), torch.zeros_like(x_t))
        return self._move(x, at, end, value), Calls(calls + 1, known, begin, total)

    def _move(self, x: Tensor, t: Tensor, s: Tensor, value: Tensor) -> Tensor:
        """DDIM's step; below the first entry of the table lies ``last``."""
        p = self.process
        s = torch.where(s < 1 / p.schedule.steps - 1e-9, torch.full_like(s, self.last), s)

        def factors() -> tuple[Tensor, ...]:
            alpha, sigma, alpha_s, sigma_s = p.alpha(t), p.sigma(t), p.alpha(s), p.sigma(s)
            if self.v:  # x_0 = alpha x - sigma v, eps = alpha v + sigma x
                return cast(x, alpha_s * alpha + sigma_s * sigma, sigma_s * alpha - alpha_s * sigma)
            return cast(x, alpha_s / alpha, sigma_s - alpha_s * sigma / alpha)

        a, b = recall(p, ("pseudo", self.v, self.last, x.dtype), (t, s), factors)
        return a * x + b * value


def pndm(name: str, options: Mapping[str, Any]) -> Scheduler:
    """Pseudo-numerical methods; ``skip_prk_steps`` leaves out the Runge-Kutta steps."""
    require(name, options, {"prediction_type": ("epsilon", "v_prediction")})
    process, _ = table_process(options, bounded=False)
    total, prk = options["num_train_timesteps"], not options["skip_prk_steps"]
    last = 0.0 if options["set_alpha_to_one"] else 1 / total

    def plan(steps: int) -> Plan:
        if prk and steps < 4:
            raise UsageError(f"{name} with skip_prk_steps = False needs 4 steps or more, got {steps}")
        n, half = spacing.spaced(steps, options, rounded=True), total // steps // 2
        if prk:
            both = np.stack([n[:4] + half, n[:4]], 1).flatten()[1:]  # the first time step, the middle, the next, ...
            first = both.repeat(2)[1:-1]
            begins = [(float(first[i]) + 1) / total for i in (0, 4, 8)]
            listed = np.concatenate([first, n[3:]])
        else:
            begins, listed = [], np.concatenate([n[:2], n[1:]])
        grid = entries(listed, options)
        before = [int(np.count_nonzero(listed[:i] == n)) for i, n in enumerate(listed)]
        grid[:-1] -= HAIR * torch.tensor(before)
        stride = total // steps / total
        v = options["prediction_type"] == "v_prediction"
        return Plan(grid, lambda denoiser: Pseudo(denoiser, stride, half / total, last, begins, v))

    return Scheduler(name, options, process, output(options), plan)
