r"""The exact test bed of the checks: Gaussian mixtures in the plane, whose posterior, score and likelihood are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian
from ornstein.core.rng import Random, Stream
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess


@final
class Mixture:
    r"""sum_k w N(mu_k, std^2 I), equal weights; ``means [K, D]`` float64."""

    def __init__(self, means: Tensor, std: float):
        self.means, self.std = means.double(), std

    @classmethod
    def ring(cls, modes: int = 8, radius: float = 1.2, std: float = 0.08) -> Mixture:
        """Equal modes on a circle; the defaults are the test bed "GMM-8"."""
        angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
        return cls(radius * torch.stack([angle.cos(), angle.sin()], 1), std)

    def sample(self, n: int, rng: Random) -> Tensor:
        """``[n, D]`` float64."""
        k = rng.integers(len(self.means), (n,))
        return self.means[k] + self.std * rng.normal((n, self.means.shape[1]), dtype=torch.float64)

    def log_prob(self, x: Tensor, alpha: float = 1.0, sigma: float = 0.0) -> Tensor:
        """log density of alpha x_0 + sigma eps at x, ``[B]``."""
        var = alpha**2 * self.std**2 + sigma**2
        square = ((x[:, None] - alpha * self.means) ** 2).sum(-1)
        log_w = -math.log(len(self.means)) - 0.5 * x.shape[1] * math.log(2 * math.pi * var)
        return (log_w - square / (2 * var)).logsumexp(1)


@final
class ExactDenoiser(Denoiser):
    r"""E and Var (per coordinate) of x_0 given x_t = alpha x_0 + sigma eps, for mixture data.

    With v = alpha^2 s^2 + sigma^2 and responsibilities r_k ~ N(x_t; alpha mu_k, v): the component means are
    mu_k + alpha s^2 (x_t - alpha mu_k)/v, their common variance s^2 sigma^2 / v.
    """

    process: GaussianProcess

    def __init__(self, process: GaussianProcess, data: Mixture):
        super().__init__()
        self.process, self.data = process, data

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Gaussian:
        t = expand(t, x_t)
        alpha, sigma, s2 = self.process.alpha(t), self.process.sigma(t), self.data.std**2
        v = alpha**2 * s2 + sigma**2
        x, means = x_t.double(), self.data.means
        square = ((x[:, None] - alpha[..., None] * means) ** 2).sum(-1)  # [B, K]
        r = (-square / (2 * v)).softmax(1)
        at_mode = r @ means  # E[mu_k]
        mean = at_mode + alpha * s2 * (x - alpha * at_mode) / v
        # A component's mean is (sigma^2 mu_k + alpha s^2 x)/v: its variance over k is that of mu_k, scaled.
        var = s2 * sigma**2 / v + (sigma**2 / v) ** 2 * (r @ means**2 - at_mode**2)
        return Gaussian(mean.to(x_t.dtype), var.to(x_t.dtype))


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int = 256) -> float:
    """Sliced 2-Wasserstein distance of two samples of equal size, over evenly spaced directions of the plane."""
    angle = torch.arange(directions, dtype=torch.float64) * (math.pi / directions)
    u = torch.stack([angle.cos(), angle.sin()])
    gap = (a.double() @ u).sort(0).values - (b.double() @ u).sort(0).values
    return float((gap**2).mean().sqrt())


@final
class MLP(nn.Module):
    """A network for the plane: x and Fourier features of t (given as 1000 t) through hidden layers of SiLU."""

    frequencies: Tensor

    def __init__(self, width: int = 128, depth: int = 3, features: int = 8):
        super().__init__()
        self.register_buffer("frequencies", math.pi / 1000 * torch.arange(1, features + 1))
        sizes = [2 + 2 * features, *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.out = nn.Linear(width, 2)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        angle = t[:, None] * self.frequencies
        h = torch.cat([x, angle.cos(), angle.sin()], 1)
        for layer in self.hidden:
            h = F.silu(layer(h))
        return self.out(h)


@final
class Points:
    """An endless stream of fresh batches from a mixture, for training."""

    def __init__(self, data: Mixture, batch: int, seed: int):
        self.data, self.batch, self.rng, self.given = data, batch, Stream(seed), 0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            self.given += 1
            yield Batch(self.data.sample(self.batch, self.rng).float())

    def state(self) -> dict[str, int]:
        """How many batches were given."""
        return {"given": self.given}

    def restore(self, state: dict[str, int]) -> None:
        """Go on after so many batches."""
        while self.given < state["given"]:
            next(iter(self))
