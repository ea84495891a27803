"""Palette's claim on digits whose lower half is hidden: draws look like data and keep what is known; a regression blurs."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Scale
from ornstein.core.rng import Random, Stream
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import X0
from ornstein.denoisers.wrappers import Clip
from ornstein.evaluation.frechet import frechet
from ornstein.measurements import Mask, Measurement
from ornstein.networks.pasted import Pasted
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import UniformTimes
from ornstein.objectives.told import Telling, Told
from ornstein.objectives.weights import min_snr
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.told import Regression, ToldMLP, digits, in_parts, learn, psnr, regressed
from ornstein.recipes.restoration.palette import NAME, Palette
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import simulate

CONFIG = Palette(size=8, channels=1, chain=200, beta_1=1e-4, beta_T=5e-2)
STEPS, REGRESSION_STEPS, DRAWS = 5000, 2500, 8
HALF = Mask(torch.cat([torch.ones(1, 4, 8), torch.zeros(1, 4, 8)], 1))


@final
class LowerHalf:
    """Training, as the test, hides the lower half."""

    def __init__(self, told: Told):
        self.told = told

    def __call__(self, x: Tensor, rng: Random) -> Tensor:
        return self.told.of_measurement(Measurement(HALF(x), HALF))


def measure(seed: int) -> dict[str, float]:
    """Frechet distances and PSNR of whole pictures, the error of what is known, the spread of draws, what leaks from the hole."""
    images, _ = digits("train")
    _, x = digits("test")
    own, process, rng = CONFIG.told(), CONFIG.vp(), Stream(seed)
    told = Told(NAME, own.shape, LowerHalf(own), own.of_measurement)
    torch.manual_seed(seed)
    denoiser = Preconditioned(Pasted(ToldMLP(CONFIG.shape, NAME, told.shape), NAME), process, X0())
    times = UniformTimes(process.t_min, process.t_max)
    objective = Denoising(denoiser, Scale(), times, min_snr(5.0))
    learn(denoiser, Telling(objective, told), images, STEPS, seed)
    rival = Pasted(ToldMLP(CONFIG.shape, NAME, told.shape), NAME)
    learn(rival, Telling(Regression(rival), told), images, REGRESSION_STEPS, seed)
    cond = {NAME: told.of_measurement(Measurement(HALF(x), HALF))}
    leaky = {NAME: told.of_measurement(Measurement(x, HALF))}  # the answer lies in the hole
    grid = torch.linspace(1, 0, CONFIG.chain + 1, dtype=torch.float64)
    with torch.no_grad():
        answer = regressed(rival, x, cond).clamp(-1, 1)
        move = Ancestral(Clip(denoiser))
        drawn = in_parts(lambda i: simulate(move, rng.normal_like(x), grid, rng, cond), DRAWS)
        start = rng.normal_like(x)
        same = [simulate(move, start, grid[-20:], Stream(1), c) for c in (cond, leaky)]
    return {
        "frechet_palette": frechet(drawn[0].flatten(1), x.flatten(1)),
        "frechet_regression": frechet(answer.flatten(1), x.flatten(1)),
        "frechet_floor": frechet(digits("train")[1][: len(x)].flatten(1), x.flatten(1)),
        "known_error": float((HALF(drawn) - HALF(x)).abs().max()),
        "leak": float((same[0] - same[1]).abs().max()),
        "diversity": float(drawn.std(0)[..., 4:, :].mean()),
        "psnr_one": psnr(drawn[0], x),
        "psnr_mean": psnr(drawn.mean(0), x),
        "psnr_regression": psnr(answer, x),
    }


CHECK = Check(
    recipe="palette",
    paper="ImageNet: colourisation FID 15.78 and fool rate 47.8 %, inpainting FID 5.2 at 20 to 30 % free-form masks, ahead of "
    "regressions and task-specific methods (figures not confirmed)",
    claim="on digits of 8 x 8 whose lower half is hidden, the draws are nearer to held-out digits (Frechet distance of pixels) "
    "than the answers of a regression by the same network, keep the known half exactly, and differ; nothing of the hole leaks",
    conditions=(
        Condition(
            "frechet_palette",
            "<",
            "frechet_regression",
            "a blurred answer is no draw: three quarters is a margin",
            0.75,
        ),
        Condition("known_error", "==", 0.0, "known pixels are the given ones"),
        Condition("leak", "==", 0.0, "what lies in the hole must not change the result"),
        Condition("diversity", ">", 0.05, "one upper half has many lower ones"),
    ),
    measure=measure,
)
