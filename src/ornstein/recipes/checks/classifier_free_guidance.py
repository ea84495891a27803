"""Classifier-free guidance on two classes in the plane: with exact estimates, and with one network trained with dropped
labels."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Posterior
from ornstein.core.rng import Random, Stream
from ornstein.core.shapes import expand, per_sample
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.denoisers.parametrizations import V
from ornstein.guidance.cfg import CFG
from ornstein.networks.layers.conditioning import ClassCondition
from ornstein.networks.mlp import MLP
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Cosine
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.classes import CLASS, Classes, purity
from ornstein.recipes.checks.toys import sliced_wasserstein
from ornstein.samplers.base import simulate
from ornstein.samplers.grids import uniform
from ornstein.samplers.heun import Heun

SAMPLES = 2000
STEPS = 40
TRAINING = 2000
DROPOUT = 0.1
SCALES = {"1": 1.0, "1.5": 1.5, "2": 2.0, "4": 4.0, "8": 8.0}


@final
class Exact(Denoiser):
    """Both exact estimates under the label: -1 is no label."""

    def __init__(self, process: VP, data: Classes):
        super().__init__()
        self.process = process
        self.laws = [data.denoiser(process), *(data.denoiser(process, k) for k in range(2))]

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        means = torch.stack([law(x_t, t).mean for law in self.laws])
        label = cond["label"] if "label" in cond else torch.full((len(x_t),), -1)
        return Dirac(means[label + 1, torch.arange(len(x_t))])


def train(process: VP, data: Classes, seed: int) -> Preconditioned:
    """One network on both tasks: a tenth of the labels goes missing, row by row."""
    torch.manual_seed(seed)
    network = MLP(size=2, width=128, depth=3, conditions=(ClassCondition("label", 2),))
    denoiser, rng = Preconditioned(network, process, V()), Stream(seed + 1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, TRAINING)
    for _ in range(TRAINING):
        x_0, label = data.sample(256, rng)
        label = torch.where(rng.uniform((256,)) < DROPOUT, -1, label)
        loss = _loss(denoiser, x_0.float(), label, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return denoiser.eval().requires_grad_(False)


def _loss(denoiser: Preconditioned, x_0: Tensor, label: Tensor, rng: Random) -> Tensor:
    process = denoiser.process
    t = rng.uniform((len(x_0), 1), dtype=torch.float64) * (process.t_max - 1e-3) + 1e-3
    x_t = process.marginal(x_0, t).sample(rng)
    x_in, noise = denoiser.parametrization.inputs(process, x_t, t)
    out = denoiser.network(x_in, per_sample(noise, len(x_0)).float(), {"label": label})
    return ((out - denoiser.parametrization.target(process, x_0, x_t, t)) ** 2).mean()


def measure(seed: int) -> dict[str, float]:
    """Purity, distance and spread of one class's samples over the scale, exact and learned."""
    process, data = VP(Cosine()), Classes()
    rng = Stream(seed)
    reference, floor = (data.of(CLASS).sample(SAMPLES, rng) for _ in range(2))
    noise = rng.normal((SAMPLES, 2), dtype=torch.float64)
    label = {"label": torch.full((SAMPLES,), CLASS)}
    found = {"swd_floor": sliced_wasserstein(floor, reference)}

    def draw(denoiser: Denoiser, scale: float, start: Tensor) -> Tensor:
        return simulate(Heun(CFG(denoiser, scale)), start, uniform(process, STEPS), rng, label).double()

    exact = Exact(process, data)
    for name, scale in SCALES.items():
        x = draw(exact, scale, noise)
        found[f"purity_{name}"], found[f"swd_{name}"] = purity(data, x), sliced_wasserstein(x, reference)
    learned = train(process, data, seed)
    with torch.no_grad():
        for name in ("1", "2", "4"):
            x = draw(learned, SCALES[name], noise.float())
            found[f"learned_purity_{name}"] = purity(data, x)
            found[f"learned_swd_{name}"] = sliced_wasserstein(x, reference)
            found[f"learned_variance_{name}"] = float(x.var(0).sum())
    return found


_PURER = "a larger scale weighs the class's evidence more, so samples are surer of their class"
_FARTHER = "the guided law is not the class's: the distance grows with the scale, which is the price"

CHECK = Check(
    recipe="classifier-free-guidance",
    paper="ImageNet 64: best FID 1.55 at w = 0.1, best inception score 260 at w = 4; FID rises and inception score rises "
    "with w",
    claim="with exact estimates in the plane, scale 1 gives the class; purity and the distance to the class both rise with "
    "the scale; one network that learned with a tenth of the labels dropped shows the same trade",
    conditions=(
        Condition(
            "swd_1", "<", 0.06, "the error of sampling by 40 steps and of two draws of 2000; the floor is about 0.03"
        ),
        *(Condition(f"purity_{b}", ">", f"purity_{a}", _PURER) for a, b in (("1", "1.5"), ("1.5", "2"), ("2", "4"))),
        *(
            Condition(f"swd_{b}", ">", f"swd_{a}", _FARTHER)
            for a, b in (("1", "1.5"), ("1.5", "2"), ("2", "4"), ("4", "8"))
        ),
        Condition(
            "learned_swd_1",
            "<",
            0.12,
            "a network of this size, trained for seconds; a third of a mode's deviation of 0.35",
        ),
        Condition("learned_purity_2", ">", "learned_purity_1", _PURER),
        Condition("learned_purity_4", ">", "learned_purity_2", _PURER),
        Condition("learned_variance_2", "<", "learned_variance_1", "what purity costs: the class's variance falls"),
        Condition("learned_variance_4", "<", "learned_variance_2", "what purity costs: the class's variance falls"),
    ),
    measure=measure,
)
