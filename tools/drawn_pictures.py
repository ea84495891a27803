"""Draw docs/pictures/systems/NAME.png of systems that translate or draw from layouts, sketches and depth, after a short training.

    python tools/drawn_pictures.py NAME [NAME ...]

Each is trained as in its check, or as the function below says, for a minute or two, and shown on held-out examples.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ornstein.codecs.base import to_bytes
from ornstein.core.rng import Stream
from ornstein.data import Loader
from ornstein.recipes.checks.told import digits
from ornstein.recipes.samples import image_grid
from ornstein.training.fit import Engine, fit

FOLDER = Path(__file__).parent.parent / "docs" / "pictures" / "systems"
COUNT = 10


def unit_ddpm() -> Image.Image:
    """Both rings, each point in its colour, and where the other domain's points of these colours go."""
    from ornstein.recipes.checks import unit_ddpm as check
    from ornstein.recipes.translation import carried

    joint, _ = check.trained(0, check.CONFIG.cycle)
    rng, times = Stream(5), torch.linspace(1, 0, check.CONFIG.chain + 1, dtype=torch.float64)
    figure, axes = plt.subplots(1, 4, figsize=(7, 2))
    for d, (given, made) in enumerate((axes[:2], axes[2:])):
        x = check.ring(d).sample(500, rng).float()
        with torch.no_grad():
            y = carried(joint, x, 1 - d, times, rng, check.CONFIG.release / check.CONFIG.chain)
        centre = check.SHIFT if d else torch.zeros(2)
        colour = torch.atan2(x[:, 1] - centre[1], x[:, 0] - centre[0])
        for axis, points, title in ((given, x, "AB"[d]), (made, y, f"{'AB'[d]} to {'BA'[d]}")):
            axis.scatter(*points.T, c=colour, s=2, cmap="hsv", linewidths=0)
            axis.set(xlim=(-1.8, 2.2), ylim=(-1.8, 1.8), xticks=[], yticks=[], aspect="equal")
            axis.set_title(title, fontsize=8, pad=2)
    figure.tight_layout()
    return rendered(figure)


def semantic_diffusion_model() -> Image.Image:
    """Held-out layouts, two draws from each, and one under guidance of 2."""
    from ornstein.data.dataset import Images
    from ornstein.recipes.checks import semantic_diffusion_model as check
    from ornstein.recipes.restoration.semantic_diffusion_model import one_hot
    from ornstein.recipes.restoration.semantic_diffusion_model import semantic_diffusion_model as recipe

    rng = Stream(0)
    maps = check.layouts(check.TRAINING, rng)
    pictures = ((check.coloured(maps, rng) + 1) * 127.5).round().byte()
    torch.manual_seed(0)
    system = recipe(check.CONFIG)
    check.learn(system, Images(pictures.numpy(), conds={check.CONFIG.maps: maps.numpy()}, name="regions"), 0)
    held = check.layouts(COUNT, rng)
    layout = one_hot(held, check.REGIONS)
    rows = [held.float() - 1]
    rows += [system.sample(COUNT, seed=100 * i, guidance=1.0, layout=layout).tensor for i in range(2)]
    rows += [system.sample(COUNT, guidance=2.0, layout=layout).tensor]
    return grid(rows, zoom=3)


def diss() -> Image.Image:
    """Lines, careless strokes, and draws from lines, from strokes, and from both at realism 0, 0.5 and 1."""
    from ornstein.recipes.checks import diss as check
    from ornstein.recipes.restoration.diss import diss as recipe
    from ornstein.recipes.restoration.diss import drawn, strokes
    from ornstein.recipes.restoration.generative_colorization import line_art

    c = dataclasses.replace(check.CONFIG, steps=350, decay_steps=350)
    torch.manual_seed(0)
    system = recipe(c)
    fit(
        system.modules,
        system.stages(Loader(digits("train", c.size)[0], c.batch, 0)),
        Engine(ema_half_life=c.ema_half_life),
    )
    x = digits("test", c.size)[1][:COUNT]
    lines = line_art(x)
    careless = strokes(x, c.block) + check.CARELESS * c.block * strokes(Stream(0).normal_like(x), c.block)
    stroke = careless.clamp(-1, 1)
    rows = [lines, stroke, drawn(system, sketch=lines, seed=1).tensor]
    rows += [drawn(system, sketch=lines, stroke=stroke, realism=r, seed=1).tensor for r in (0.0, 0.5, 1.0)]
    return grid(rows, zoom=3)


def dag() -> Image.Image:
    """Draws without and with guidance, and below each what the strong and the weak head read of them."""
    from ornstein.core.shapes import expand
    from ornstein.recipes.checks import dag as check

    rng = Stream(0)
    depth = check.scenes(check.TRAINING, rng)
    few = check.pictured(depth[: check.LABELLED], rng)
    system, _ = check.trained(check.pictured(depth, rng), few, 0)
    rows: list[Tensor] = []
    for scale in (0.0, 1.0):
        made = system.sample(COUNT, guidance=scale, seed=7, batch=COUNT).tensor
        t = expand(torch.tensor(check.AT, dtype=torch.float64), made)
        with torch.no_grad():
            x_t = system.process.marginal(made, t).sample(Stream(1))
            _, strong, weak = system.extra["heads"](system.denoiser, x_t, t)
        rows += [made, strong, weak]
    return grid(rows, zoom=3)


def grid(rows: list[Tensor], zoom: int) -> Image.Image:
    """Rows of pictures, which may differ in channels."""
    channels = max(r.shape[1] for r in rows)
    same = [r.clamp(-1, 1).expand(-1, channels, -1, -1) for r in rows]
    return image_grid(to_bytes(torch.cat(same)), columns=len(rows[0]), zoom=zoom)


def rendered(figure: Figure) -> Image.Image:
    """A figure as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return Image.open(buffer).convert("RGB")


DRAWERS: dict[str, Callable[[], Image.Image]] = {
    "dag": dag,
    "diss": diss,
    "semantic-diffusion-model": semantic_diffusion_model,
    "unit-ddpm": unit_ddpm,
}


def main() -> None:
    """Train, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(DRAWERS))
    for name in parser.parse_args().names:
        path = FOLDER / f"{name}.png"
        DRAWERS[name]().quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
