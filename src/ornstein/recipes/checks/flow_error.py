"""What the checks of solvers share: the exact flow of GMM-8 from t = 1 to 1e-3, and the error of a run at a price."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ornstein.core.rng import Stream
from ornstein.processes.gaussian import VP
from ornstein.recipes.checks.toys import ExactDenoiser, Mixture
from ornstein.samplers.base import simulate
from ornstein.samplers.table import get

POINTS = 1000
END = 1e-3


def uniform(steps: int) -> Tensor:
    """Equal steps in t."""
    return torch.linspace(1, END, steps + 1, dtype=torch.float64)


def quadratic(steps: int) -> Tensor:
    """Equal steps in the root of t."""
    return torch.linspace(1, END**0.5, steps + 1, dtype=torch.float64) ** 2


def log_snr(steps: int) -> Tensor:
    """Equal steps in log-SNR."""
    process = VP()
    high, low = process.log_snr(torch.tensor([1.0, END], dtype=torch.float64)).tolist()
    times = process.time(torch.linspace(high, low, steps + 1, dtype=torch.float64))
    times[0], times[-1] = 1.0, END
    return times


class Flow:
    """Starts of one seed, and where the flow leads them: by Dormand-Prince with tolerance 1e-9."""

    def __init__(self, seed: int, std: float = 0.25):
        self.denoiser = ExactDenoiser(VP(), Mixture.ring(std=std))
        self.start = Stream(seed).normal((POINTS, 2), dtype=torch.float64)
        self.end = self.run("adaptive_rk", torch.tensor([1.0, END]), {"tolerance": 1e-9})

    def run(self, name: str, grid: Tensor, options: Mapping[str, Any] | None = None) -> Tensor:
        """A sampler from the starts along a grid."""
        return simulate(get(name, options=options)(self.denoiser), self.start, grid, Stream(0))

    def error(
        self, name: str, grid: Callable[[int], Tensor], steps: int, options: Mapping[str, Any] | None = None
    ) -> float:
        """Root mean square distance from the exact end."""
        return float((self.run(name, grid(steps), options) - self.end).square().mean().sqrt())


def order(coarse: float, fine: float) -> float:
    """The order that two errors show, the steps of the second being half as long."""
    return math.log2(coarse / fine)
