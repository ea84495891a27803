"""DiSS's claim on digits of 16 x 16: drawn from lines and from strokes of a careless hand, by strength and by realism."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.rng import Stream
from ornstein.data import Loader
from ornstein.evaluation.frechet import frechet
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.told import digits
from ornstein.recipes.restoration.diss import DiSS, diss, drawn, strokes
from ornstein.recipes.restoration.generative_colorization import line_art
from ornstein.restoration.low_pass import coarse
from ornstein.training.fit import Engine, fit

SIZE, STEPS, SAMPLES, CARELESS = 16, 700, 96, 0.3
CONFIG = DiSS(
    size=SIZE, channels=1, chain=200, beta_1=1e-4, beta_T=5e-2, sampling_steps=30, precision="fp32", widths=(24, 48), blocks=1,
    patch=2, finest=4, steps=STEPS, lr=1e-2, decay="cosine", decay_steps=STEPS, ema_half_life=3000,
)  # fmt: skip
LOW, HIGH = 0.5, 1.5


def overlap(x: Tensor, lines: Tensor) -> float:
    """Intersection over union of the lines of pictures and those that they were drawn from."""
    a, b = line_art(x) > 0, lines > 0
    return float((a & b).sum() / (a | b).sum())


def apart(x: Tensor, stroke: Tensor) -> float:
    """Root mean square of the difference in the strokes' blocks."""
    return float((coarse(x, SIZE // CONFIG.block) - stroke).square().mean().sqrt())


def measure(seed: int) -> dict[str, float]:
    """How far lines and strokes are followed, by their strengths, and what realism costs and gives."""
    images, _ = digits("train", SIZE)
    _, held = digits("test", SIZE)
    x, others = held[:SAMPLES], held[SAMPLES:]
    torch.manual_seed(seed)
    system = diss(CONFIG)
    engine = Engine(seed=seed, ema_half_life=CONFIG.ema_half_life)
    fit(system.modules, system.stages(Loader(images, CONFIG.batch, seed)), engine)
    noise = strokes(Stream(seed).normal_like(x), CONFIG.block) * CONFIG.block  # deviation 1 in each block
    lines, stroke = line_art(x), (strokes(x, CONFIG.block) + CARELESS * noise).clamp(-1, 1)
    found = {}
    for name, scale in (("low", LOW), ("high", HIGH)):
        # One condition at a time, and the strokes not held: what the strength alone does.
        made = drawn(system, sketch=lines, sketch_scale=scale, seed=seed * SAMPLES).tensor
        found[f"lines_{name}"] = overlap(made, lines)
        made = system.sample(
            SAMPLES, guidance=scale, seed=seed * SAMPLES, batch=SAMPLES, stroke=strokes(x, CONFIG.block)
        ).tensor
        found[f"stroke_error_{name}"] = apart(made, strokes(x, CONFIG.block))
    for name, realism in (("0", 0.0), ("half", 0.5), ("1", 1.0)):
        made = drawn(system, sketch=lines, stroke=stroke, realism=realism, seed=seed * SAMPLES).tensor
        found[f"apart_{name}"] = apart(made, stroke)
        found[f"frechet_{name}"] = frechet(made.flatten(1), others.flatten(1))
    return found


CHECK = Check(
    recipe="diss",
    paper="on cats, dogs, flowers and landscapes of 512 pixels nearer to photographs than SDEdit, SSS2IS and U-GAT-IT (FID, "
    "LPIPS; figures not confirmed)",
    claim="on digits of 16 x 16, lines are followed more closely the stronger the sketch counts, blocks of strokes the stronger "
    "the strokes do; as realism goes from 0 to 1, what is drawn from careless strokes leaves them and comes nearer to digits",
    conditions=(
        Condition("lines_high", ">", "lines_low", "strength 1.5 against 0.5"),
        Condition("stroke_error_high", "<", "stroke_error_low", "the same, of strokes"),
        Condition("apart_half", ">", "apart_0", "held at 2 x 2 averages in place of 4 x 4"),
        Condition("apart_1", ">", "apart_half", "held at the mean alone"),
        Condition("frechet_half", "<", "frechet_0", "strokes of a careless hand are no digits"),
        Condition("frechet_1", "<", "frechet_half", "the freest are the most real"),
    ),
    measure=measure,
)
