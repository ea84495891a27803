"""The variance-exploding score SDE on pictures, by a predictor and a corrector. Song et al. 2021, 2011.13456."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError, unknown
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.parametrizations import Derived, ScoreOut
from ornstein.interop.diffusers.pipelines.families.base import Options, same_channels, state_size, system_of
from ornstein.interop.diffusers.pipelines.folder import Index, load_part
from ornstein.interop.diffusers.pipelines.networks import HalfRange, unrecorded
from ornstein.interop.diffusers.pipelines.swap import Schedulers
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.schedulers.classes import Plan, Scheduler
from ornstein.interop.diffusers.schedulers.exponential import by_step
from ornstein.processes.base import Affine
from ornstein.processes.gaussian import EDM
from ornstein.samplers.base import DenoisingSampler, State

_DEFAULTS: dict[str, Any] = {
    "num_train_timesteps": 2000,
    "snr": 0.15,
    "sigma_min": 0.01,
    "sigma_max": 1348.0,
    "sampling_eps": 1e-5,
    "correct_steps": 1,
}


def build(index: Index, options: Options) -> Pipeline:
    """The pipeline in a folder; pictures lie in [0, 1] there."""
    model = load_part(index, "unet")
    height, width = state_size(options, model.config.sample_size, 1)
    own = score_ve(Schedulers.at(index.path / "scheduler"))
    shape = (same_channels(model.config), height, width)
    return system_of(index, Score(model), HalfRange(), shape, None, own=own, steps=2000)


def score_ve(entries: Mapping[str, Any]) -> Scheduler:
    """A ScoreSdeVeScheduler's file: sigma is the clock, alpha = 1.

    Raises:
        UsageError: an unknown option.
    """
    given = {k: v for k, v in entries.items() if not k.startswith("_")}
    for key in given:
        if key not in _DEFAULTS:
            raise unknown("option of ScoreSdeVeScheduler", key, _DEFAULTS)
    o = _DEFAULTS | given
    low, high = float(o["sigma_min"]), float(o["sigma_max"])

    def plan(steps: int) -> Plan:
        if steps < 2:
            raise UsageError(f"ScoreSdeVeScheduler needs 2 steps or more, got {steps}")
        at = torch.linspace(1, o["sampling_eps"], steps)
        # Which level a step removes is read from this product, cut to a whole number, in diffusers' arithmetic.
        index = (at * (steps - 1)).long()
        levels = torch.linspace(float(torch.tensor(low).log()), float(torch.tensor(high).log()), steps).exp().double()
        before = torch.where(index > 0, levels[(index - 1).clamp_min(0)], torch.zeros_like(levels))
        grid = torch.cat([low * (high / low) ** at.double() / high, torch.zeros(1, dtype=torch.float64)])
        removed = (levels[index] ** 2 - before**2).tolist()
        return Plan(grid, lambda denoiser: Corrected(denoiser, grid, removed, o["snr"], o["correct_steps"]))

    return Scheduler("ScoreSdeVeScheduler", o, EDM(low, high), ToldSigma(high), plan, lambda t: high)


@final
class Score(nn.Module):
    """A UNet2DModel that is told sigma and gives the score; here times sigma."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model: Any = model

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        with unrecorded():
            return self.model(x, t).sample * t.reshape(-1, 1, 1, 1)


@final
class ToldSigma(Derived):
    """A score times sigma, of a network that is told sigma."""

    def __init__(self, high: float):
        super().__init__(ScoreOut())
        self.high = high

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return x_t, self.high * t


@final
class Corrected(DenoisingSampler):
    r"""Langevin moves at a level, then the reverse SDE's step over the variance to the level before; no noise at the end.

    A move: x + e g + sqrt(2 e) z, e = 2 (snr |z|/|g|)^2, g the score. diffusers takes the norms' means over the batch; here
    each sample has its own, so that it does not depend on its neighbours. Song et al. 2021, algorithms 2 and 4.
    """

    needs = EDM

    def __init__(self, denoiser: Denoiser, grid: Tensor, removed: Sequence[float], snr: float, moves: int):
        super().__init__(denoiser)
        order = by_step(grid, range(len(removed)))
        self.removed = {at: removed[i] for at, i in order.items()}
        self.snr, self.moves = snr, moves

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        x = x_t
        for _ in range(self.moves):
            g, z = self._score(x, t, cond), rng.normal_like(x)
            size = 2 * (self.snr * _norm(z) / _norm(g)) ** 2
            x = x + size * g + (2 * size).sqrt() * z
        variance = self.removed[float(t.flatten()[0])]
        mean = x + variance * self._score(x, t, cond)
        if not bool((s > 0).any()):
            return mean, None
        return mean + variance**0.5 * rng.between(x, t, s), None

    def _score(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        (scale,) = cast(x, 1 / self.process.sigma(t) ** 2)
        return scale * (self.denoiser(x, t, cond).mean - x)


def _norm(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))
