"""NCSN's claim on the paper's toy: annealed Langevin dynamics weighs two modes rightly, plain dynamics does not."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from ornstein.codecs.base import Identity
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Stream
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.denoisers.parametrizations import Clocked, ScoreOut
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import ListedTimes
from ornstein.processes.gaussian import EDM
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.toys import MLP, ExactDenoiser, Mixture, Points
from ornstein.samplers.annealed_langevin import AnnealedLangevin
from ornstein.samplers.base import simulate
from ornstein.samplers.correctors import Langevin
from ornstein.samplers.grids import log_snr
from ornstein.training.fit import Engine, fit
from ornstein.training.optim import OptimizerSpec
from ornstein.training.stage import Stage, Update

CHAINS = 1280
LEVELS, MOVES = 10, 100
STEP = 0.05
"""of a move in units of sigma^2: the paper's epsilon of 0.1 at sigma_L = 1 is twice this"""
SIGMAS = (20.0, 1.0)
UPDATES = 2500


def modes() -> Mixture:
    """0.2 N((-5, -5), I) + 0.8 N((5, 5), I): one mode once, the other four times."""
    return Mixture(torch.tensor([[-5.0, -5.0], *[[5.0, 5.0]] * 4]), 1.0)


def share(x: Tensor) -> float:
    """Of chains in the small mode."""
    return float((x.sum(1) < 0).double().mean())


def plain(seed: int) -> Tensor:
    """1000 moves of step 0.05 with the exact score of the data itself, from U[-8, 8]^2."""
    data, rng = modes(), Stream(seed)
    x = 16 * rng.uniform((CHAINS, 2), dtype=torch.float64) - 8
    for _ in range(LEVELS * MOVES):
        r = (-((x[:, None] - data.means) ** 2).sum(-1) / 2).softmax(1)
        score = r @ data.means - x
        x = x + STEP * score + math.sqrt(2 * STEP) * rng.normal_like(x)
    return x


@torch.no_grad()
def annealed(denoiser: Denoiser, seed: int, dtype: torch.dtype) -> Tensor:
    """The sampler at ten levels from 20 to 1, a hundred moves at each, from U[-8, 8]^2."""
    rng = Stream(seed)
    x = (16 * rng.uniform((CHAINS, 2), dtype=torch.float64) - 8).to(dtype)
    first = torch.ones((), dtype=torch.float64)
    x, _ = Langevin(snr=math.sqrt(STEP / 2), moves=MOVES).run(denoiser, x, first, rng)
    grid = log_snr(denoiser.process, LEVELS)
    # The toy ends at sigma_L = 1, the width of the modes: without the denoising step, which would shrink them.
    return simulate(AnnealedLangevin(denoiser, STEP, MOVES), x, grid[:-1], rng)


@final
class Scaled(nn.Module):
    """A perceptron for values of the order of 20."""

    def __init__(self) -> None:
        super().__init__()
        self.network = MLP()

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.network(x / 10, t, cond)


def learned(seed: int) -> Preconditioned:
    """The recipe's objective at the ten levels, 128 units wide."""
    torch.manual_seed(seed)
    process = EDM(SIGMAS[1], SIGMAS[0])
    clock = Clocked(ScoreOut(), -2 * math.log(SIGMAS[0]), -2 * math.log(SIGMAS[1]))
    denoiser = Preconditioned(Scaled(), process, clock)
    times = ListedTimes((SIGMAS[1] / SIGMAS[0]) ** (torch.arange(LEVELS, dtype=torch.float64) / (LEVELS - 1)))
    spec = OptimizerSpec(lr=2e-3, warmup=100, decay="cosine", decay_steps=UPDATES)
    update = Update(Denoising(denoiser, Identity(), times), list(denoiser.parameters()), spec)
    fit(
        denoiser,
        [Stage("scores", Points(modes(), 256, seed + 1), [update], UPDATES)],
        Engine(seed=seed, ema_half_life=20_000),
    )
    return denoiser


def measure(seed: int) -> dict[str, float]:
    """Shares of the small mode, truly 0.2."""
    exact = ExactDenoiser(EDM(SIGMAS[1], SIGMAS[0]), modes())
    found = {
        "share_plain": share(plain(seed)),
        "share_annealed": share(annealed(exact, seed, torch.float64)),
        "share_learned": share(annealed(learned(seed), seed, torch.float32)),
    }
    return found | {f"{name}_error": abs(value - 0.2) for name, value in found.items()}


CHECK = Check(
    recipe="ncsn",
    paper="CIFAR-10: Inception score 8.87, FID 25.32; plain Langevin dynamics weighs two modes wrongly",
    claim="on the paper's mixture, weights 0.2 and 0.8, 1280 chains: plain dynamics with the exact score puts half of the "
    "chains in the small mode, annealed dynamics a fifth, with the exact score and with a learned one",
    conditions=(
        Condition(
            "share_plain_error", ">", 0.2, "each chain stays in the basin in which it starts: half of the square"
        ),
        Condition("share_annealed_error", "<", 0.05, "four standard errors of a share of 1280 chains are 0.045"),
        Condition("share_learned_error", "<", 0.08, "the same, and 0.03 for the error of the learned scores"),
    ),
    measure=measure,
)
