"""Claims of progressive distillation: a target that is exact, and students better than the teacher at equal steps."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from ornstein.codecs.base import Identity
from ornstein.core.rng import Stream
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.denoisers.parametrizations import V
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.progressive import ProgressiveDistillation, reached_from, two_steps
from ornstein.objectives.times import UniformTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Cosine
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.toys import MLP, ExactDenoiser, Mixture, Points, sliced_wasserstein
from ornstein.samplers.base import simulate
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.grids import even
from ornstein.samplers.levels import exponential_euler
from ornstein.training.fit import Engine, fit
from ornstein.training.optim import OptimizerSpec
from ornstein.training.stage import Stage, Update

ROUNDS = (8, 4, 2, 1)
UPDATES = 1000
FIRST = 4 * UPDATES
"""Updates of the network that the first student begins with: as many as all rounds together."""
SAMPLES = 10_000


def process() -> VP:
    """alpha = cos(pi t/2)."""
    return VP(Cosine(s=0.0, t_max=1.0))


def target_error(teacher: Denoiser, seed: int) -> float:
    """The largest distance between two steps of the teacher and one DDIM step on the target made from them."""
    p, rng = process(), Stream(seed)
    x_0 = Mixture.ring().sample(1000, rng)
    worst = 0.0
    for n in (1, 5, 8):
        t, s = expand(torch.tensor(n / 8), x_0), expand(torch.tensor((n - 1) / 8), x_0)
        z_t = p.marginal(x_0, t).sample(rng)
        z_s = two_steps(teacher, z_t, t, 1 / 8)
        again = exponential_euler(p, z_t, t, s, reached_from(p, z_t, t, z_s, s))
        worst = max(worst, float((again - z_s).abs().max()))
    return worst


@torch.no_grad()
def distance(denoiser: Denoiser, steps: int, noise: Tensor, reference: Tensor) -> float:
    """Sliced Wasserstein distance of DDIM's samples."""
    x = simulate(DDIM(denoiser), noise, even(process(), steps), Stream(0))
    return sliced_wasserstein(x, reference)


def beginning(seed: int) -> Preconditioned:
    """A network trained by the plain loss, |v - v_theta|^2.

    Every student begins with its teacher's weights. The exact teacher has none, so the first student begins with those of
    an ordinary network, as the paper's does; from random weights a round of 1000 updates measures how far they come.
    """
    torch.manual_seed(seed)
    network = Preconditioned(MLP(), process(), V())
    spec = OptimizerSpec(lr=2e-3, warmup=100, decay="cosine", decay_steps=FIRST)
    update = Update(Denoising(network, Identity(), UniformTimes(1e-3)), list(network.parameters()), spec)
    stage = Stage("teacher", Points(Mixture.ring(), 256, seed), [update], FIRST)
    fit(network, [stage], Engine(seed=seed, ema_half_life=20_000))
    return network


def measure(seed: int) -> dict[str, float]:
    """The target's error, and distances of teacher and students at each number of steps."""
    data, rng = Mixture.ring(), Stream(seed)
    exact = ExactDenoiser(process(), data)
    reference, noise = data.sample(SAMPLES, rng), rng.normal((SAMPLES, 2))
    found = {"target_error": target_error(exact, seed)}
    found["floor"] = sliced_wasserstein(data.sample(SAMPLES, rng), reference)
    student = beginning(seed)
    teacher: Denoiser = exact
    for steps in ROUNDS:
        objective = ProgressiveDistillation(student, teacher, Identity(), steps)
        spec = OptimizerSpec(lr=2e-3, warmup=0, decay="cosine", decay_steps=UPDATES)
        stage = Stage(
            f"student-{steps}",
            Points(data, 256, seed + steps),
            [Update(objective, list(student.parameters()), spec)],
            UPDATES,
        )
        fit(student, [stage], Engine(seed=seed + steps, ema_half_life=5000))
        found[f"student_{steps}"] = distance(student, steps, noise, reference)
        found[f"teacher_{steps}"] = distance(exact, steps, noise, reference)
        teacher = copy.deepcopy(student).requires_grad_(False)
    return found


_CLAIM = "the student was trained for this many steps, the teacher was not: well below its distance"

CHECK = Check(
    recipe="progressive-distillation",
    paper="CIFAR-10: FID 9.12, 4.51, 3.00 and 2.57 in 1, 2, 4 and 8 steps",
    claim="on GMM-8, from the exact teacher at 16 steps down to 1: a DDIM step on the target ends where two of the "
    "teacher's do, and students of 1, 2 and 4 steps are at less than 0.6 of the distance of the exact teacher with as many",
    conditions=(
        Condition("target_error", "<", 1e-10, "an identity, in double precision"),
        Condition("student_4", "<", "teacher_4", _CLAIM, 0.6),
        Condition("student_2", "<", "teacher_2", _CLAIM, 0.6),
        Condition("student_1", "<", "teacher_1", _CLAIM, 0.6),
    ),
    measure=measure,
)
