r"""The way of samples from noise to data in full: every state x_t, what the denoiser takes it for, and the score's norm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from ornstein.core.cond import Cond
from ornstein.core.errors import CapabilityError
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.interop.diffusers.pipelines.networks import SCALE
from ornstein.interop.diffusers.pipelines.system import ToldScale
from ornstein.processes.base import SDE
from ornstein.recipes.system import System
from ornstein.samplers.base import simulate


@dataclass(frozen=True)
class Walk:
    """``states [N + 1, n, ...]`` at ``times [N + 1]``, noise first; ``denoiser`` is the guided one that drew them under ``cond``.

    ``about`` says how, as the provenance of a sample does.
    """

    times: Tensor
    states: Tensor
    cond: Cond
    denoiser: Denoiser
    seeds: list[int]
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.times)

    @torch.no_grad()
    def mean(self, i: int) -> Tensor:
        """E[x_0 | x_t] at frame ``i``, ``[n, ...]``; the sample itself at the last."""
        x = self.states[i]
        if i % len(self) == len(self) - 1:
            return x
        return self.denoiser(x, expand(self.times[i], x), self.cond).mean

    @torch.no_grad()
    def score_norm(self, i: int) -> Tensor:
        r"""|score(x_t)| / sqrt(dim) at frame ``i``, ``[n]``; NaN at t = 0, where a sample has no noise to speak of.

        Of noise alone, x_t = sigma eps, it is 1 / sigma.

        Raises:
            CapabilityError: the process has no score.
        """
        x, process = self.states[i], cast(Any, self.denoiser.process)
        if not isinstance(process, SDE):
            raise CapabilityError(f"{type(process).__name__} has no score")
        if float(self.times[i]) == 0:
            return torch.full((x.shape[0],), torch.nan)
        t = expand(self.times[i], x)
        score = process.score(x, t, self.denoiser(x, t, self.cond))
        return score.flatten(1).double().square().mean(1).sqrt()


@torch.no_grad()
def walk(
    system: System,
    n: int = 1,
    *,
    seed: int = 0,
    steps: int | None = None,
    sampler: str | None = None,
    grid: str | None = None,
    guidance: float | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> Walk:
    """Draw ``n`` samples as :meth:`System.sample` does with the same arguments, and keep every state.

    Raises:
        CapabilityError: the system draws in one shot: there is no way to follow.
        UsageError: as :meth:`System.sample`.
    """
    if system.one_shot:
        raise CapabilityError(f"'{system.recipe}' draws in one shot: there is no way to follow")
    move, times, about = system.prepare(steps, sampler, grid, guidance)
    seeds = list(range(seed, seed + n))
    cond = {k: v.to(system.device) for k, v in system.conditions(seeds, conditions or {}).items()}
    rng = Rng(seeds)
    system.modules.eval()
    x = system.begin(rng, times).to(system.device)
    states = [x]
    simulate(move, x, times, rng, cond, lambda step: states.append(step.x))
    scale = system.guidance if guidance is None else float(guidance)
    denoiser = system.guided(scale)
    if isinstance(denoiser, ToldScale):  # then the network cannot be asked without it
        cond[SCALE] = torch.full((n,), scale, device=x.device)
    return Walk(times.double().cpu(), torch.stack(states), cond, denoiser, seeds, about)
