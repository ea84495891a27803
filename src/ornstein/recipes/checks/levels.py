"""What the checks of consistency functions share: a network of the plane that is told ln(sigma)/4, and jumps."""

from __future__ import annotations

from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.gaussian import EDM
from ornstein.recipes.checks.maps import distance
from ornstein.recipes.checks.toys import sliced_wasserstein
from ornstein.samplers.grids import even_karras
from ornstein.samplers.renoise import Renoise

EPSILON = 0.002
SIGMA_DATA = 0.85
"""of GMM-8, per coordinate"""


@final
class LevelMLP(nn.Module):
    """x and Fourier features of the level through hidden layers of SiLU."""

    frequencies: Tensor

    def __init__(self, width: int = 160, depth: int = 3, features: int = 8):
        super().__init__()
        self.register_buffer("frequencies", torch.arange(1, features + 1) * 0.5)
        sizes = [3 + 2 * features, *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.out = nn.Linear(width, 2)

    def forward(self, x: Tensor, level: Tensor, cond: Cond = NO_COND) -> Tensor:
        angle = level[:, None] * self.frequencies
        h = torch.cat([x, level[:, None], angle.cos(), angle.sin()], 1)
        for layer in self.hidden:
            h = F.silu(layer(h))
        return self.out(h)


def jumps(denoiser: Denoiser, noise: Tensor, reference: Tensor, rng: Random) -> dict[str, float]:
    """Distances to the data after one and two evaluations."""
    process = denoiser.process
    assert isinstance(process, EDM)
    start = process.sigma_max * noise
    return {f"swd_{n}": distance(Renoise(denoiser), start, even_karras(process, n), reference, rng) for n in (1, 2)}


def one_euler_step(denoiser: Denoiser, noise: Tensor, reference: Tensor) -> float:
    """Distance to the data after one Euler step of the flow from the top to 0: the mean of the data at every point."""
    process = denoiser.process
    assert isinstance(process, EDM)
    end = denoiser(process.sigma_max * noise.double(), torch.tensor(1.0, dtype=torch.float64)).mean
    return sliced_wasserstein(end, reference)
