"""LCMScheduler: multistep consistency sampling on a subset of the time steps of distillation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.interop.diffusers.schedulers.words import Plan, Scheduler, bounded, entries, output, table_process
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State


@final
class ConsistencyStep(DenoisingSampler):
    r"""x_s = alpha_s f + sigma_s z, f = c_out x_0 + c_skip x_t; f itself in the last step.

    c_skip = d^2/(u^2 + d^2), c_out = u/sqrt(u^2 + d^2), d = 1/2, u = ``scaling`` times the time step: the boundary of
    consistency models. Luo et al. 2023, 2310.04378.
    """

    needs = GaussianProcess

    def __init__(self, denoiser: Denoiser, scaling: float, total: int):
        super().__init__(denoiser)
        self.scaling, self.total = scaling, total

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p, u = self.process, (t * self.total - 1) * self.scaling
        skip, out = cast(x_t, 0.25 / (u**2 + 0.25), u / (u**2 + 0.25).sqrt())
        f = out * self.denoiser(x_t, t, cond).mean + skip * x_t
        if not bool((s > 0).any()):
            return f, None
        a, b = cast(x_t, p.alpha(s), p.sigma(s))
        return torch.where(s > 0, a * f + b * rng.normal_like(x_t), f), None


def lcm(name: str, options: Mapping[str, Any], strength: float = 1.0) -> Scheduler:
    """``strength`` below 1: all steps lie in the last so many of the time steps of distillation."""
    process, _ = table_process(options, bounded=False)
    bound, total, origin = bounded(options), options["num_train_timesteps"], options["original_inference_steps"]
    if origin > total:
        raise UsageError(f"{name}: original_inference_steps = {origin} is more than num_train_timesteps = {total}")

    def plan(steps: int) -> Plan:
        most = int(origin * strength)
        if not 1 <= steps <= most:
            part = "" if strength == 1 else f" times strength = {strength:g}"
            raise UsageError(f"steps must lie in 1 .. {most} (original_inference_steps{part}), got {steps}")
        distilled = (np.arange(1, most + 1) * (total // origin) - 1)[::-1]
        chosen = distilled[np.floor(np.linspace(0, most, steps, endpoint=False)).astype(np.int64)]
        scaling = options["timestep_scaling"]
        grid = entries(chosen.astype(np.float64), {**options, "steps_offset": 0})
        return Plan(grid, lambda denoiser: ConsistencyStep(bound(denoiser), scaling, total))

    return Scheduler(name, options, process, output(options), plan)
