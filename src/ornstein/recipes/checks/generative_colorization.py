"""Colourisation's claim on digits in one of four colours of equal brightness, of which the lines tell nothing."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ornstein.core.rng import Stream
from ornstein.data import Loader
from ornstein.data.dataset import Images
from ornstein.measurements.colours import LUMA
from ornstein.objectives.told import Telling
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.told import Regression, ToldMLP, digits, learn, regressed
from ornstein.recipes.restoration.generative_colorization import (
    NAME,
    GenerativeColorization,
    coloured,
    generative_colorization,
    line_art,
)
from ornstein.training.fit import Engine, fit

STEPS, REGRESSION_STEPS, SAMPLES = 1500, 1000, 300
CONFIG = GenerativeColorization(
    size=8, channels=3, chain=200, beta_1=1e-4, beta_T=5e-2, sampling_steps=50, cond_dropout=0.0, precision="fp32",
    widths=(24, 48), blocks=1, patch=1, steps=STEPS, lr=1e-2, decay="cosine", decay_steps=STEPS, ema_half_life=3000,
)  # fmt: skip
HUES, SATURATION, SIGNAL = 4, 0.45, 0.2


def plane() -> Tensor:
    """``[2, 3]``: an orthonormal basis of the colours that do not change the grey value."""
    q, _ = torch.linalg.qr(torch.cat([torch.tensor([LUMA]).T, torch.eye(3)[:, 1:]], 1).double())
    return q.T[1:].float()


def palette() -> Tensor:
    """``[4, 3]`` in [0, 1]: colours of one grey value, a quarter of a turn apart."""
    angle = torch.arange(HUES) * (2 * math.pi / HUES)
    return 0.5 + SATURATION * torch.stack([angle.cos(), angle.sin()], 1) @ plane()


def paint(grey: Tensor, hue: Tensor) -> Tensor:
    """``[n, 1, 8, 8]`` and ``[n]`` to colour pictures in [-1, 1]: strokes of the colour on black."""
    return (grey + 1) / 2 * palette()[hue][:, :, None, None] * 2 - 1


def chroma(x: Tensor) -> Tensor:
    """``[n, 2]``: the sum of each picture's colours, without their grey."""
    whole = ((x + 1) / 2).sum((2, 3))
    return (whole - whole @ torch.tensor([LUMA]).T) @ plane().T


def hue_of(x: Tensor) -> Tensor:
    """The nearest of the four."""
    found = chroma(x)
    return (torch.atan2(found[:, 1], found[:, 0]) / (2 * math.pi / HUES)).round().long() % HUES


def overlap(x: Tensor, lines: Tensor) -> float:
    """Intersection over union of the lines of pictures and those that they were drawn from."""
    a, b = line_art(x) > 0, lines > 0
    return float((a & b).sum() / (a | b).sum())


def measure(seed: int) -> dict[str, float]:
    """Shares of the hues, agreement with the lines, saturation beside a regression's, and what a coloured start does."""
    _, grey = digits("train")
    _, held = digits("test")
    every = torch.cat([paint(grey, torch.full((len(grey),), k)) for k in range(HUES)])
    images = Images(((every + 1) * 127.5).round().byte().numpy().astype(np.uint8), name="painted digits")
    x = paint(held[:SAMPLES], torch.arange(SAMPLES) % HUES)
    torch.manual_seed(seed)
    system = generative_colorization(CONFIG)
    told = system.told
    assert told is not None
    engine = Engine(seed=seed, ema_half_life=CONFIG.ema_half_life)
    fit(system.modules, system.stages(Loader(images, CONFIG.batch, seed)), engine)
    rival = ToldMLP(CONFIG.shape, NAME, told.shape, width=320)
    learn(rival, Telling(Regression(rival), told), images, REGRESSION_STEPS, seed)
    lines = told.of_data(x, Stream(seed))
    made = system.sample(SAMPLES, seed=seed * SAMPLES, batch=SAMPLES, lines=lines).tensor
    shares = torch.bincount(hue_of(made), minlength=HUES) / SAMPLES
    true = float(chroma(x).norm(dim=1).mean())
    with torch.no_grad():
        answer = regressed(rival, x, {NAME: lines}).clamp(-1, 1)
    hinted = []
    for k, colour in enumerate(palette()):
        part = coloured(system, lines[:75], colour * 2 - 1, signal=SIGNAL, steps=30, seed=seed).tensor
        hinted.append(float((hue_of(part) == k).double().mean()))
    return {
        "least_share": float(shares.min()),
        "largest_share": float(shares.max()),
        "lines_kept": overlap(made, lines),
        "saturation": float(chroma(made).norm(dim=1).mean()) / true,
        "saturation_regression": float(chroma(answer).norm(dim=1).mean()) / true,
        "hinted": min(hinted),
    }


CHECK = Check(
    recipe="generative-colorization",
    paper="line art of anime at 128 to 512 pixels: many plausible colourings of one drawing, steered by the start (qualitative)",
    claim="on digits of 8 x 8 in one of four colours of equal brightness, told their lines alone, it draws all four about as "
    "often, keeps the lines, and is as colourful as data where a regression is grey; a start of one colour with a fifth of the "
    "signal makes that colour likely",
    conditions=(
        Condition("least_share", ">", 0.15, "a quarter in truth; 300 draws have a deviation of 0.025"),
        Condition("largest_share", "<", 0.35, "a quarter in truth; 0.1 is four deviations"),
        Condition("lines_kept", ">", 0.8, "the drawing is the one that was given"),
        Condition("saturation", ">", 0.8, "of the data's: colours are chosen, not averaged"),
        Condition("saturation_regression", "<", 0.3, "the mean of four opposite colours is grey"),
        Condition("hinted", ">", 0.5, "twice as often as without a hint, for each of the four"),
    ),
    measure=measure,
)
