r"""What the checks of restoration share: a Gaussian mixture, measured linearly, whose posterior is a mixture again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ornstein.core.measurement import Linear, Measurement
from ornstein.core.rng import Random, Stream
from ornstein.measurements import Mask, Matrix
from ornstein.processes.gaussian import VP
from ornstein.recipes.checks.toys import ExactDenoiser, Mixture
from ornstein.restoration.table import get_method
from ornstein.samplers.base import simulate

DRAWS = 500
DIRECTIONS = 200


@dataclass(frozen=True)
class Task:
    """A prior of equal modes, one measurement of one of its points, and the posterior in closed form."""

    prior: Mixture
    operator: Linear
    matrix: Tensor
    """of the operator, ``[m, D]``; of a mask its known rows"""
    y: Tensor
    """``[1, ...]``, as the operator makes it"""
    noise: float

    def posterior(self, n: int, rng: Random) -> Tensor:
        r"""Draws of p(x_0 | y): modes by N(y; H mu, s^2 H H' + noise^2 I), means mu + G (y - H mu), covariance s^2 (I - G H)."""
        h, s2, mu = self.matrix, self.prior.std**2, self.prior.means
        y = self.y.flatten(1)[:, self.operator.known == 1] if isinstance(self.operator, Mask) else self.y
        inner = s2 * h @ h.T + self.noise**2 * torch.eye(len(h), dtype=torch.float64)
        gain = s2 * torch.linalg.solve(inner, h).T
        gap = y - mu @ h.T
        weights = (-0.5 * (gap * torch.linalg.solve(inner, gap.T).T).sum(1)).softmax(0)
        cov = s2 * (torch.eye(mu.shape[1], dtype=torch.float64) - gain @ h)
        values, vectors = torch.linalg.eigh(0.5 * (cov + cov.T))
        root = vectors * values.clamp_min(0).sqrt()
        k = rng.categorical(weights.log().expand(n, -1))
        return (mu + gap @ gain.T)[k] + rng.normal((n, mu.shape[1]), dtype=torch.float64) @ root.T

    def restore(self, method: str, steps: int, seed: int, options: Mapping[str, Any], draws: int = DRAWS) -> Tensor:
        """Draws of a method with the exact denoiser on a VP process, ``[draws, D]`` float64."""
        process = VP()
        given = Measurement(self.y.expand(draws, *self.y.shape[1:]), self.operator, self.noise)
        move = get_method(method).make(ExactDenoiser(process, self.prior), given, options)
        grid = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        rng = Stream(seed)
        with torch.no_grad():
            return simulate(move, rng.normal((draws, self.prior.means.shape[1]), dtype=torch.float64), grid, rng)

    def residual(self, x: Tensor) -> float:
        """Root mean square of y - H x."""
        return float((self.y - self.operator(x)).square().mean().sqrt())


def prior(seed: int, modes: int = 6, dims: int = 8) -> Mixture:
    """Modes at standard normal places, of standard deviation 0.15."""
    return Mixture(Stream(1000 + seed).normal((modes, dims), dtype=torch.float64), 0.15)


def projected(seed: int, noise: float = 0.1, rows: int = 3) -> Task:
    """Random directions of a point of the mixture, with noise."""
    rng, law = Stream(2000 + seed), prior(seed)
    h = rng.normal((rows, law.means.shape[1]), dtype=torch.float64)
    y = law.sample(1, rng) @ h.T
    return Task(law, Matrix(h, (h.shape[1],)), h, y + noise * rng.normal((1, rows), dtype=torch.float64), noise)


def masked(seed: int, known: int = 3) -> Task:
    """The first coordinates of a point of the mixture, exactly."""
    law = prior(seed)
    mask = (torch.arange(law.means.shape[1]) < known).double()
    operator = Mask(mask)
    return Task(law, operator, torch.diag(mask)[mask == 1], operator(law.sample(1, Stream(3000 + seed))), 0.0)


def sliced(a: Tensor, b: Tensor) -> float:
    """Sliced 2-Wasserstein distance of two samples of equal size and any dimension, over random directions."""
    u = Stream(7).normal((a.shape[1], DIRECTIONS), dtype=torch.float64)
    u = u / u.norm(dim=0)
    gap = (a @ u).sort(0).values - (b @ u).sort(0).values
    return float((gap**2).mean().sqrt())
