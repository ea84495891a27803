"""SRDiff's claim on digits of 8 x 8 from 4 x 4: residuals are learned sooner than pictures, by one network and one chain."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.codecs.base import Codec, Scale
from ornstein.codecs.residual import Residual
from ornstein.core.rng import Stream
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Eps
from ornstein.denoisers.wrappers import Clip
from ornstein.measurements import bicubic
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import UniformTimes
from ornstein.objectives.told import Telling
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.told import ToldMLP, digits, in_parts, learn, psnr
from ornstein.recipes.restoration.srdiff import NAME, SRDiff
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import simulate

CONFIG = SRDiff(size=8, channels=1, scale=2, factor=1.0)
"""Digits are black and white: their residuals reach 1, and the paper's factor of 2 would cut off half of them."""
SHORT, LONG, DRAWS = 750, 3000, 8


def drawn(codec: Codec, steps: int, seed: int, draws: int) -> Tensor:
    """``[draws, n, 1, 8, 8]``: enlarged test digits after so many updates."""
    images, _ = digits("train")
    _, x = digits("test")
    told, process, rng = CONFIG.told(), CONFIG.vp(), Stream(seed)
    torch.manual_seed(seed)
    denoiser = Preconditioned(ToldMLP(CONFIG.shape, NAME, told.shape), process, Eps())
    times = UniformTimes(process.t_min, float(process.t_max))
    learn(denoiser, Telling(Denoising(denoiser, codec, times), told), images, steps, seed)
    cond = {NAME: told.of_data(x, rng)}
    grid = torch.linspace(float(process.t_max), 0, CONFIG.chain + 1, dtype=torch.float64)
    move = Ancestral(Clip(denoiser))
    with torch.no_grad():
        return in_parts(lambda i: codec.decode(simulate(move, rng.normal_like(x), grid, rng, cond), cond), draws)


def measure(seed: int) -> dict[str, float]:
    """PSNR of single draws of both after 750 and 3000 updates; of the mean of eight, and agreement with the small picture."""
    _, x = digits("test")
    small = bicubic(CONFIG.shape, CONFIG.scale)
    codecs: dict[str, Codec] = {
        "residual": Residual(NAME, (CONFIG.size, CONFIG.size), CONFIG.factor),
        "direct": Scale(),
    }
    found = {}
    for name, codec in codecs.items():
        for steps in (SHORT, LONG):
            made = drawn(codec, steps, seed, DRAWS if (name, steps) == ("residual", LONG) else 1)
            found[f"psnr_{name}_{steps}"] = psnr(made[0], x)
            if len(made) > 1:
                found["psnr_mean"] = psnr(made.mean(0), x)
                found["consistency"] = float((small(made[0]) - small(x)).square().mean())
    return found


CHECK = Check(
    recipe="srdiff",
    paper="CelebA 8x and DIV2K 4x: PSNR and SSIM above SRFlow, LR-PSNR of 52 to 55 dB, with chains of 100 steps and a day of "
    "training (figures not confirmed)",
    claim="on digits of 8 x 8 from 4 x 4 and a chain of 100 steps, draws of residuals are nearer to the truth than draws of "
    "whole pictures by the same network after the same 750 updates; the mean of eight is nearer than one, and draws agree with "
    "the small picture",
    conditions=(
        Condition("psnr_residual_750", ">", "psnr_direct_750", "the residual starts where interpolation ends"),
        Condition("psnr_mean", ">", "psnr_residual_3000", "the mean of draws is nearer to the truth than one"),
        Condition("consistency", "<", 1e-2, "a tenth of the range's unit, squared: the small picture is met"),
    ),
    measure=measure,
)
