"""What the checks of flow maps share: a network of the plane that is told two times, trained for a while."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.loss import Objective
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.two_time import SPAN
from ornstein.recipes.checks.toys import Mixture, Points, sliced_wasserstein
from ornstein.samplers.base import Sampler, simulate
from ornstein.training.fit import Engine, Stage, Update, fit
from ornstein.training.optim import OptimizerSpec

SAMPLES = 20_000


@final
class TwoTimeMLP(nn.Module):
    """x, Fourier features of t (given as 1000 t) and those of the span, through hidden layers of SiLU."""

    frequencies: Tensor

    def __init__(self, width: int = 160, depth: int = 3, features: int = 8):
        super().__init__()
        self.register_buffer("frequencies", math.pi / 1000 * torch.arange(1, features + 1))
        sizes = [2 + 2 * features + SPAN.width, *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.out = nn.Linear(width, 2)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        angle = t[:, None] * self.frequencies
        h = torch.cat([x, angle.cos(), angle.sin(), cond[SPAN.name]], 1)
        for layer in self.hidden:
            h = F.silu(layer(h))
        return self.out(h)


def train(
    denoiser: Denoiser,
    objective: Objective,
    data: Mixture,
    seed: int,
    steps: int,
    *,
    batch: int = 256,
    lr: float = 2e-3,
) -> None:
    """One stage on fresh points with a cosine decay; leaves the averaged weights in place."""
    spec = OptimizerSpec(lr=lr, warmup=100, decay="cosine", decay_steps=steps)
    update = Update(objective, [p for p in denoiser.parameters() if p.requires_grad], spec)
    fit(
        denoiser,
        [Stage("map", Points(data, batch, seed + 1), [update], steps)],
        Engine(seed=seed, ema_half_life=100 * batch),
    )


@torch.no_grad()
def distance(sampler: Sampler, start: Tensor, grid: Tensor, reference: Tensor, rng: Random) -> float:
    """Sliced Wasserstein distance to the data of what a sampler makes of the start."""
    return sliced_wasserstein(simulate(sampler, start, grid, rng), reference)


def even(steps: int) -> Tensor:
    """Equal steps from 1 to 0."""
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)
