"""The way of some samples from noise to image: the state, and what the denoiser takes it for, at a few times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ornstein.codecs.base import to_bytes
from ornstein.core.errors import CapabilityError
from ornstein.recipes.system import System
from ornstein.samplers.base import Step


@dataclass(frozen=True)
class Trajectory:
    """``states`` and ``guesses``: uint8 ``[n, frames, C, H, W]``, noisiest first; ``times`` of the frames.

    States are divided by their root mean square, so that noise of any scale is visible; guesses are E[x_0 | x_t].
    """

    times: list[float]
    states: Tensor
    guesses: Tensor


@torch.no_grad()
def trajectory(
    system: System, n: int, frames: int = 8, *, seed: int = 0, steps: int | None = None, sampler: str | None = None,
    grid: str | None = None, guidance: float | None = None,
) -> Trajectory:  # fmt: skip
    """Sample ``n`` images as :meth:`System.sample` does, and keep ``frames`` evenly spaced steps.

    Raises:
        CapabilityError: the state is no image of 1 or 3 channels.
    """
    if len(system.shape) != 3 or system.shape[0] not in (1, 3):
        raise CapabilityError(f"a state of shape {tuple(system.shape)} is no picture; trajectories are drawn of images")
    times: list[float] = []
    states: list[Tensor] = []
    guesses: list[Tensor] = []
    scale = system.guidance if guidance is None else guidance
    cond = system.conditions(range(seed, seed + n), {})
    denoiser = system.guided(scale)
    device = system.device
    cond = {k: v.to(device) for k, v in cond.items()}

    def keep(step: Step[Any]) -> None:
        places = {round(i * (step.total - 1) / max(frames - 1, 1)) for i in range(frames)}
        if step.index not in places:
            return
        last = step.index == step.total - 1
        rms = step.x.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-6)
        times.append(float(step.s.flatten()[0]))
        states.append(picture(step.x if last else step.x / (2 * rms)))
        guesses.append(picture(step.x if last else denoiser(step.x, step.s, cond).mean))

    def picture(state: Tensor) -> Tensor:
        return to_bytes(system.codec.preview(state, cond)).cpu()

    system.sample(n, seed=seed, steps=steps, sampler=sampler, grid=grid, guidance=guidance, batch=n, on_step=keep)
    return Trajectory(times, torch.stack(states, 1), torch.stack(guesses, 1))
