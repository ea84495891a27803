"""A pipeline on the times of DDIM, on which pictures are inverted and drawn again."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ornstein.denoisers.denoiser import Preconditioned
from ornstein.interop.diffusers.pipelines.system import Pipeline


def on_ddim(system: Pipeline, steps: int) -> tuple[Pipeline, Tensor]:
    """The system with its network on DDIM's times, and those times; on flow matching its own, where DDIM is Euler's method."""
    assert system.schedulers is not None and isinstance(system.denoiser, Preconditioned)
    found = system.schedulers.own() if system.schedulers.flows else system.schedulers.named("ddim")
    assert found is not None
    plan = found.plan(steps)
    grid = plan.grid
    if found.options.get("set_alpha_to_one") is False:  # the last step ends at the table's first entry
        end = 1 / found.options["num_train_timesteps"]
        grid = torch.cat([grid[:-1][grid[:-1] > end + 1e-9], torch.tensor([end], dtype=torch.float64)])
    told = plan.parametrization or found.parametrization
    denoiser = Preconditioned(system.denoiser.network, found.process, told)
    return replace(system, scheduler=found, denoiser=denoiser), grid
