"""DDIMInverseScheduler: DDIM's step from data to noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.parametrizations import Parametrization
from ornstein.interop.diffusers.schedulers.spacing import check_steps
from ornstein.interop.diffusers.schedulers.told import ToldAt
from ornstein.interop.diffusers.schedulers.words import Plan, Scheduler, output, require, table_process
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State


@final
class InverseDDIM(DenoisingSampler):
    """x_s = alpha_s x_0 + sigma_s eps, s > t, with x_0 clipped to ``clip`` and eps as before the clip.

    At t = 0, where x_0 says nothing of eps, the network is asked at ``floor`` and its output is read as that at 0.
    """

    needs = Affine
    ascends = True

    def __init__(self, denoiser: Denoiser, parametrization: Parametrization, floor: float, clip: float | None):
        super().__init__(denoiser)
        self.parametrization, self.floor, self.clip = parametrization, floor, clip

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p, at = self.process, t.clamp_min(self.floor)
        x_0 = self.denoiser(x_t, at, cond).mean
        # The outputs eps and v are the same at 0.
        eps = torch.where(t < at, self.parametrization.target(p, x_0, x_t, at), p.eps(x_t, at, x_0))
        x_0 = torch.where(t < at, x_t, x_0)
        if self.clip is not None:
            x_0 = x_0.clamp(-self.clip, self.clip)
        a, b = cast(x_t, p.alpha(s), p.sigma(s))
        return a * x_0 + b * eps, None


def ddim_inverse(name: str, options: Mapping[str, Any]) -> Scheduler:
    require(name, options, {"timestep_spacing": ("leading", "trailing")})
    process, _ = table_process(options, bounded=False)
    total, told = options["num_train_timesteps"], output(options)
    first = 0.0 if options["set_alpha_to_one"] else 1 / total
    clip = options["clip_sample_range"] if options["clip_sample"] else None

    def plan(steps: int) -> Plan:
        check_steps(steps, options)
        stride = total // steps
        if options["timestep_spacing"] == "leading":
            ends = np.arange(steps) * stride + options["steps_offset"]
        else:
            ends = np.arange(total, 0, -total / steps)[::-1].round() - 1
        if ends[-1] > total - 1:
            raise UsageError(f"steps_offset = {options['steps_offset']} leads beyond the table of {total} entries")
        # Every step begins a stride before its end: where the ends are further apart, the level does not follow them.
        if np.any(np.diff(ends) != stride):
            raise CapabilityError(f"{name} with {steps} trailing steps has strides of different lengths: not served")
        start = float(ends[0] - stride + 1) / total if ends[0] >= stride else first
        if start >= (ends[0] + 1) / total:
            raise CapabilityError(
                f"{name} with steps_offset = 0 and set_alpha_to_one = False begins with a step that moves nothing: not served"
            )
        if start == 0 and options["prediction_type"] == "sample":
            raise CapabilityError(
                f"{name} with prediction_type = 'sample' and set_alpha_to_one = True divides by a noise of 0: not served"
            )
        floor = 0.5 / total
        grid = torch.from_numpy(np.concatenate([[start], (ends + 1) / total]))
        asked = grid[:-1].clamp_min(floor)
        parametrization = ToldAt(told, asked, torch.from_numpy(ends.astype(np.float64)))
        return Plan(grid, lambda denoiser: InverseDDIM(denoiser, parametrization, floor, clip), parametrization)

    return Scheduler(name, options, process, told, plan)
