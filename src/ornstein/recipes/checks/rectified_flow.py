"""Rectified flow's claims on GMM-8: one reflow makes one step good, paths straight, and transport no dearer."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from ornstein.codecs.base import Identity
from ornstein.core.loss import Objective
from ornstein.core.rng import Stream
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Velocity
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.followers import Averaged, Follower
from ornstein.objectives.interpolating import Interpolating, given_pairs
from ornstein.objectives.times import UniformTimes
from ornstein.processes.gaussian import FlowMatching
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.toys import MLP, Mixture, Points, sliced_wasserstein
from ornstein.recipes.pairs import Pairs
from ornstein.samplers.base import simulate
from ornstein.samplers.euler import Euler
from ornstein.training.fit import Data, Engine, Stage, Update, fit
from ornstein.training.optim import OptimizerSpec

SAMPLES = 20_000
STEPS = 2500
BATCH = 256
HALF_LIFE = 50_000


def grid(steps: int) -> Tensor:
    """Equal steps from noise to data."""
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


@torch.no_grad()
def straightness(denoiser: Preconditioned, noise: Tensor, steps: int = 100) -> tuple[float, float]:
    """int E |x_1 - x_0 - v|^2 dt along the flow (0 where paths are straight), and its transport cost E |x_1 - x_0|^2."""
    x, velocities = noise, []
    for t, s in pairwise(grid(steps)):
        v = denoiser.output(x, t)
        velocities.append(v)
        x = x - float(t - s) * v
    move = noise - x
    bend = torch.stack([((move - v) ** 2).sum(1).mean() for v in velocities]).mean()
    return float(bend), float((move**2).sum(1).mean())


def measure(seed: int) -> dict[str, float]:
    """One-step distances, straightness and cost of the first flow and after one and two reflows."""
    data, rng = Mixture.ring(), Stream(seed)
    reference, noise = data.sample(SAMPLES, rng), rng.normal((SAMPLES, 2))
    torch.manual_seed(seed)
    denoiser = Preconditioned(MLP(), FlowMatching(), Velocity())
    params = list(denoiser.parameters())
    spec = OptimizerSpec(lr=2e-3, warmup=100, decay="cosine", decay_steps=STEPS)
    found = {
        "swd_floor": sliced_wasserstein(data.sample(SAMPLES, rng), reference),
        "cost_independent": float(((noise - reference) ** 2).sum(1).mean()),
    }
    teacher = Follower(denoiser)
    for flow in range(3):
        if flow == 0:
            stream: Data = Points(data, BATCH, seed + 1)
            objective: Objective = Denoising(denoiser, Identity(), UniformTimes())
        else:
            made_by = Follower(teacher.copy)
            made_by.take(teacher.copy)
            stream = Pairs(made_by, (2,), SAMPLES, BATCH, grid=grid(25), first=(seed * 3 + flow) * 1_000_000)
            objective = Interpolating(denoiser, given_pairs, UniformTimes())
        objective = Averaged(objective, teacher, denoiser, HALF_LIFE)
        fit(
            denoiser,
            [Stage("flow", stream, [Update(objective, params, spec)], STEPS)],
            Engine(seed=seed, ema_half_life=HALF_LIFE),
        )
        end = simulate(Euler(teacher.copy), noise, grid(1), rng)
        found[f"swd_1_flow_{flow}"] = sliced_wasserstein(end, reference)
        found[f"bend_flow_{flow}"], found[f"cost_flow_{flow}"] = straightness(teacher.copy, noise)
    return found


CHECK = Check(
    recipe="rectified-flow",
    paper="CIFAR-10 FID in one step: 378 for the first flow, 12.21 after one reflow, 4.85 distilled; 2.58 with 127 evaluations",
    claim="on GMM-8, one reflow brings one Euler step at least five times closer to the data and makes paths at least twenty "
    "times straighter; the cost of transport never rises from independent pairs over the first flow to the reflows",
    conditions=(
        Condition(
            "swd_1_flow_1", "<", "swd_1_flow_0", "five times closer, as the claim says; a tenfold gain is usual", 0.2
        ),
        Condition("bend_flow_1", "<", "bend_flow_0", "twenty times straighter, as the claim says", 0.05),
        Condition(
            "cost_flow_0", "<", "cost_independent", "a flow's coupling costs no more than the pairs it learned from"
        ),
        Condition("cost_flow_1", "<", "cost_flow_0", "nor does that of a reflow; 2 % for the errors of training", 1.02),
        Condition("cost_flow_2", "<", "cost_flow_1", "nor that of the next, with the same 2 % for training", 1.02),
    ),
    measure=measure,
)
