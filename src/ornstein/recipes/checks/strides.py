"""Bounds of strided chains whose reverse variance is the posterior's own, in nats per dimension."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from ornstein.core.distributions import Gaussian
from ornstein.core.rng import Stream
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.objectives.bound import step_nats
from ornstein.processes.base import GaussianProcess

FLOOR = 1e-12
"""Least variance of the decoder: a head that says 0 there would claim to know the data exactly."""


def strided(chain: int, steps: int) -> Tensor:
    """Evenly spaced steps of the chain from T to 1, rounded, then 0."""
    n = torch.linspace(chain, 1, steps, dtype=torch.float64).round()
    return torch.cat([n / chain, torch.zeros(1, dtype=torch.float64)])


@torch.no_grad()
def posterior_nats(denoiser: Denoiser, x_0: Tensor, grid: Tensor, rng: Stream) -> float:
    """The bound's terms along the grid for a denoiser whose posterior is Gaussian: Ancestral's model, eta = 1.

    Without the prior's term, which is the same for all. The decoder is the posterior itself.
    """
    process = denoiser.process
    assert isinstance(process, GaussianProcess)
    total = 0.0
    for t, s in pairwise(expand(t, x_0) for t in grid):
        x_t = process.marginal(x_0, t).sample(rng)
        posterior = denoiser(x_t, t)
        law = process.reverse(x_t, t, s, posterior)
        if float(s) == 0:
            law = Gaussian(posterior.mean, posterior.var.clamp_min(FLOOR))
        total += float(step_nats(law, process, x_0, x_t, t, s, None).mean())
    return total
