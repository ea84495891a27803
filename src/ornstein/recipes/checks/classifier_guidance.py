"""Classifier guidance on two classes in the plane: with the Bayes classifier of noisy points, and with a learned one."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.cond import Cond
from ornstein.core.rng import Stream
from ornstein.guidance.classifier import Classifier, LogProb, label_log_prob
from ornstein.networks.mlp import MLP
from ornstein.processes.gaussian import VP
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.classes import CLASS, Classes, purity
from ornstein.recipes.checks.toys import sliced_wasserstein
from ornstein.samplers.base import simulate
from ornstein.samplers.grids import uniform
from ornstein.samplers.heun import Heun

SAMPLES = 2000
STEPS = 40
TRAINING = 1000


def learned(process: VP, data: Classes, seed: int) -> LogProb:
    """A small network trained by cross-entropy on noisy points, t uniform."""
    torch.manual_seed(seed)
    network, rng = MLP(size=2, out_size=2, width=96, depth=2), Stream(seed + 1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, TRAINING)
    for _ in range(TRAINING):
        x_0, label = data.sample(512, rng)
        t = rng.uniform((512, 1), dtype=torch.float64) * 0.999 + 0.001
        x_t = process.marginal(x_0, t).sample(rng).float()
        loss = F.cross_entropy(network(x_t, 1000 * t.flatten().float()), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return label_log_prob(network.eval().requires_grad_(False))


def measure(seed: int) -> dict[str, float]:
    """The identity of Bayes' rule, and how samples of one class change with the scale."""
    process, data = VP(), Classes()
    whole, one = data.denoiser(process), data.denoiser(process, CLASS)

    def bayes(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        return data.log_posterior(process, x, t).gather(1, cond["label"].unsqueeze(1)).squeeze(1)

    rng = Stream(seed)
    reference, floor = (data.of(CLASS).sample(SAMPLES, rng) for _ in range(2))
    noise = rng.normal((SAMPLES, 2), dtype=torch.float64)
    label = {"label": torch.full((SAMPLES,), CLASS)}

    found = {"swd_floor": sliced_wasserstein(floor, reference), "identity_error": 0.0}
    for t in (0.05, 0.3, 0.7):
        x_t = process.marginal(reference, torch.tensor(t, dtype=torch.float64)).sample(rng)
        time = torch.tensor(t, dtype=torch.float64)
        scores = [process.score(x_t, time, d(x_t, time, label)) for d in (Classifier(whole, bayes), one)]
        found["identity_error"] = max(found["identity_error"], float((scores[0] - scores[1]).abs().max()))

    def draw(log_prob: LogProb, scale: float) -> Tensor:
        return simulate(Heun(Classifier(whole, log_prob, scale)), noise, uniform(process, STEPS), rng, label)

    for scale in (0, 1, 2, 4):
        x = draw(bayes, scale)
        found[f"purity_{scale}"] = purity(data, x)
        found[f"swd_{scale}"] = sliced_wasserstein(x, reference)
        found[f"log_det_{scale}"] = math.log(float(torch.linalg.det(torch.cov(x.T))))
    network = learned(process, data, seed)
    for scale in (1, 4):
        x = draw(network, scale)
        found[f"learned_purity_{scale}"] = purity(data, x)
        found[f"learned_swd_{scale}"] = sliced_wasserstein(x, reference)
    return found


CHECK = Check(
    recipe="classifier-guidance",
    paper="ImageNet FID 2.07 / 2.97 / 4.59 / 7.72 at 64 / 128 / 256 / 512 pixels; raising the scale from 1 to 10 raises "
    "precision and lowers recall",
    claim="in the plane, the score of the whole data plus the gradient of the Bayes classifier is the class's score; at "
    "scale 1 samples are the class's, beyond it they are purer and less varied; a learned classifier comes close",
    conditions=(
        Condition(
            "identity_error", "<", 1e-9, "Bayes' rule holds up to rounding of scores of order 10 in double precision"
        ),
        Condition(
            "swd_1", "<", 0.06, "the error of sampling by 40 steps and of two draws of 2000; the floor is about 0.03"
        ),
        Condition("swd_1", "<", "swd_0", "unguided samples are those of both classes, far from the one", 0.2),
        Condition("purity_2", ">", "purity_1", "a larger scale is a sharper classifier, so purity rises"),
        Condition("purity_4", ">", "purity_2", "and goes on rising as the scale does"),
        Condition("log_det_2", "<", "log_det_1", "purity is paid for by variety, measured by the covariance"),
        Condition("log_det_4", "<", "log_det_2", "and variety goes on falling with the scale"),
        Condition("learned_swd_1", "<", "swd_0", "a learned gradient leads most of the way to the class", 0.3),
        Condition("learned_purity_4", ">", "learned_purity_1", "the trade is the same with a learned classifier"),
    ),
    measure=measure,
)
