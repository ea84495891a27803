"""The GAN's claims: its best critic is the log ratio of densities, and points drawn in one call lie near the data."""

from __future__ import annotations

from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from ornstein.codecs.base import Codec
from ornstein.codecs.generator import Generator
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random, Stream
from ornstein.objectives.adversarial import Criticising, Generating
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.toys import Mixture, Points, sliced_wasserstein
from ornstein.training.fit import Engine, Stage, Update, fit
from ornstein.training.optim import OptimizerSpec

LATENTS = 2
CRITIC_STEPS = 2000
STEPS = 4000
BATCH = 256
SAMPLES = 2500
GAMMA = 0.1
HIT = 20
"""Draws inside four standard deviations that make a mode found."""


def mlp(inside: int, out: int, width: int = 128, depth: int = 3) -> nn.Sequential:
    """Leaky hidden layers."""
    sizes = [inside, *[width] * depth]
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(width, out))


def adam(lr: float, steps: int) -> OptimizerSpec:
    """Adam (0.5, 0.999), to zero at the end."""
    return OptimizerSpec(lr=lr, betas=(0.5, 0.999), decay="cosine", decay_steps=steps, clip=None)


@final
class Fixed(Codec):
    """A generator that is not trained: draws of N(0, std^2 I)."""

    def __init__(self, std: float):
        super().__init__()
        self.std = std

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return x / self.std

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.std * state


def critic_error(seed: int) -> float:
    """Mean |D - log(p_data/p_draws)| over the data, for two Gaussians of the plane whose ratio is known."""
    torch.manual_seed(seed)
    data, draws = Mixture(torch.tensor([[0.6, 0.0]]), 0.7), Mixture(torch.zeros(1, 2), 1.0)
    critic = mlp(2, 1, 64, 2)
    objective = Criticising(critic, Fixed(draws.std), 2, bounded=False)
    update = Update(objective, list(critic.parameters()), adam(3e-3, CRITIC_STEPS))
    fit(
        critic,
        [Stage("critic", Points(data, 1024, seed), [update], CRITIC_STEPS)],
        Engine(seed=seed, ema_half_life=20_000),
    )
    x = data.sample(SAMPLES, Stream(seed + 1000))
    with torch.no_grad():
        found = critic(x.float())[:, 0].double()
    return float((found - (data.log_prob(x) - draws.log_prob(x))).abs().mean())


def grid() -> Mixture:
    """25 modes on a square lattice of side 2, standard deviation 0.05."""
    places = torch.linspace(-1, 1, 5, dtype=torch.float64)
    return Mixture(torch.cartesian_prod(places, places), 0.05)


def learn(data: Mixture, gamma: float, seed: int) -> Tensor:
    """Draws of the averaged generator."""
    torch.manual_seed(seed)
    critic, codec = mlp(2, 1), Generator(mlp(LATENTS, 2), LATENTS)
    updates = [
        Update(
            Criticising(critic, codec, LATENTS, gamma=gamma, bounded=False),
            list(critic.parameters()),
            adam(1e-3, STEPS),
        ),
        Update(Generating(critic, codec, LATENTS), list(codec.parameters()), adam(5e-4, STEPS)),
    ]
    model = nn.ModuleDict({"critic": critic, "codec": codec})
    fit(
        model,
        [Stage("adversarial", Points(data, BATCH, seed), updates, STEPS)],
        Engine(seed=seed, ema_half_life=20_000),
    )
    with torch.no_grad():
        return codec.decode(Stream(seed + 2000).normal((SAMPLES, LATENTS)))


def modes(x: Tensor, data: Mixture) -> float:
    """How many modes at least ``HIT`` draws lie close to."""
    distance, nearest = torch.cdist(x.double(), data.means).min(1)
    counts = torch.bincount(nearest[distance < 4 * data.std], minlength=len(data.means))
    return float((counts >= HIT).sum())


def measure(seed: int) -> dict[str, float]:
    """The best critic's error; distances and modes without and with the penalty."""
    data, rng = grid(), Stream(seed)
    reference = data.sample(SAMPLES, rng)
    found = {"critic_error": critic_error(seed), "swd_floor": sliced_wasserstein(data.sample(SAMPLES, rng), reference)}
    spread = reference.std() * rng.normal((SAMPLES, 2), dtype=torch.float64)
    found["swd_normal"] = sliced_wasserstein(spread, reference)
    for name, gamma in (("plain", 0.0), ("r1", GAMMA)):
        x = learn(data, gamma, seed)
        found[f"swd_{name}"], found[f"modes_{name}"] = sliced_wasserstein(x, reference), modes(x, data)
    return found


CHECK = Check(
    recipe="baseline-gan",
    paper="CIFAR-10: FID from about 37 (networks of DCGAN's size) to 2.92 (StyleGAN2-ADA)",
    claim="the best critic of two Gaussians is the log ratio of their densities; on 25 modes of the plane a small generator "
    "finds at least half of them, and the penalty on the critic's slope does not make it worse",
    conditions=(
        Condition(
            "critic_error", "<", 0.1, "in nats: the ratio ranges over several, and the critic is a small network"
        ),
        Condition("modes_r1", ">", 12.0, "more than half of 25; a generator of one blob finds a few by chance"),
        Condition("swd_r1", "<", "swd_plain", "not worse on average; a tenth is what seeds differ by", 1.1, on="mean"),
    ),
    measure=measure,
)
