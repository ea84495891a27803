"""Draw docs/pictures/systems/NAME.png: what a system that was trained to restore makes of digits, after a short training.

    python tools/told_pictures.py NAME [NAME ...] [--updates 2500] [--garments]

Above held-out digits of 8 x 8, below them what the system is told, and then two draws. The recipe's own objective trains the
small network of its check; with --garments its own network is trained on Fashion-MNIST at 28 x 28 (800 updates take a minute and
leave noise: give it some thousands). A cascade (cdm) is drawn in closed form: what its second stage makes of a first stage that
errs, by the noise on what it is told.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

from ornstein.codecs.base import to_bytes
from ornstein.core.enlarge import enlarged
from ornstein.core.rng import Stream
from ornstein.data import Loader, open_data
from ornstein.data.dataset import Images
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.networks.pasted import Pasted
from ornstein.recipes import house
from ornstein.recipes.checks.told import ToldMLP, digits, learn
from ornstein.recipes.samples import image_grid
from ornstein.training.fit import Engine, fit

FOLDER = Path(__file__).parent.parent / "docs" / "pictures" / "systems"
COUNT, GARMENTS = 12, 20_000
SETTINGS = {
    "palette": {"chain": 200, "beta_1": 1e-4, "beta_T": 0.05},
    "sr3": {"chain": 200, "beta_1": 1e-4, "beta_T": 0.05},
    "srdiff": {"scale": 2, "factor": 1.0},
}


def trade_off(path: Path) -> None:
    """Errors of the exact second stage, and how often it leaves the first stage's mode, by the level of the noise."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from ornstein.recipes.checks import cdm

    levels = torch.logspace(-2, 0, 25, dtype=torch.float64).tolist()
    rng, k = Stream(0), torch.where(Stream(1).uniform((20_000,), dtype=torch.float64) < 0.5, 1.0, -1.0).double()
    z = k + cdm.ERROR * rng.normal(k.shape, dtype=torch.float64)
    draws = [cdm.second_stage(z + s * rng.normal(k.shape, dtype=torch.float64), s, rng) for s in levels]
    plt.rcParams["font.size"] = 8
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.2))
    axes[0].plot(levels, [float((x - x.sign()).std()) for x in draws])
    axes[0].axhline(cdm.VAR**0.5, color="grey", linewidth=0.8, linestyle="--")
    axes[0].set(ylabel="deviation about the mode", xlabel="level of the noise", xscale="log")
    axes[1].plot(levels, [float((x.sign() != k).double().mean()) for x in draws], color="tab:orange")
    axes[1].set(ylabel="share in another mode", xlabel="level of the noise", xscale="log")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    Image.open(path).convert("RGB").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)


def trained(name: str, updates: int) -> Image.Image:
    """Rows of digits, of what is told of them, and of two draws."""
    images, _ = digits("train")
    x = digits("test")[1][:COUNT]
    settings = {"size": 8, "channels": 1, "precision": "fp32", "cond_dropout": 0.0} | SETTINGS[name]
    system = house.build(name, settings=settings)
    told, denoiser = system.told, system.denoiser
    assert told is not None and isinstance(denoiser, Preconditioned)
    network = ToldMLP(system.shape, told.name, told.shape)
    denoiser.network = Pasted(network, told.name) if name == "palette" else network
    *_, stage = system.stages(Loader(images, 128, 0))
    learn(denoiser, stage.updates[0].objective, images, updates, 0)
    given = told.of_data(x, Stream(0))
    rows = [x, enlarged(given[:, :1], (8, 8))]
    rows += [system.sample(COUNT, seed=100 * i, **{told.name: given}).tensor for i in range(2)]
    return image_grid(to_bytes(torch.cat([r.clamp(-1, 1) for r in rows])), columns=COUNT, zoom=5)


def on_garments(name: str, updates: int) -> Image.Image:
    """Rows of held-out garments, of what is told of them, and of two draws."""
    train, test = open_data("fashion-mnist").take(range(GARMENTS)), open_data("fashion-mnist", split="test")
    x = torch.from_numpy(test.x[:COUNT].copy()).float() / 127.5 - 1
    settings = {"size": 28, "channels": 1, "batch": 16, "steps": updates, "decay_steps": updates, "decay": "cosine"}
    own = {"encoder_blocks": 2, "factor": 1.0} if name == "srdiff" else SETTINGS[name]
    torch.manual_seed(0)
    system = house.build(name, settings=settings | {"cond_dropout": 0.0, "ema_half_life": 2000} | own)
    told = system.told
    assert told is not None
    fit(system.modules, system.stages(Loader(train, 16, 0)), Engine(ema_half_life=2000))
    given = told.of_data(x, Stream(0))
    rows = [x, enlarged(given[:, :1], (28, 28))]
    rows += [system.sample(COUNT, seed=100 * i, **{told.name: given}).tensor for i in range(2)]
    return image_grid(to_bytes(torch.cat([r.clamp(-1, 1) for r in rows])), columns=COUNT, zoom=2)


def painted() -> Image.Image:
    """Rows of coloured digits, of their lines, of two draws, and of draws whose start is one of the four colours."""
    from ornstein.recipes.checks import generative_colorization as check
    from ornstein.recipes.restoration.generative_colorization import coloured, generative_colorization, line_art

    _, grey = digits("train")
    every = torch.cat([check.paint(grey, torch.full((len(grey),), k)) for k in range(check.HUES)])
    images = Images(((every + 1) * 127.5).round().byte().numpy(), name="painted digits")
    x = check.paint(digits("test")[1][:COUNT], torch.arange(COUNT) % check.HUES)
    system = generative_colorization(check.CONFIG)
    engine = Engine(ema_half_life=check.CONFIG.ema_half_life)
    fit(system.modules, system.stages(Loader(images, check.CONFIG.batch, 0)), engine)
    lines = line_art(x)
    rows = [x, lines.expand_as(x), *(system.sample(COUNT, seed=100 * i, lines=lines).tensor for i in range(2))]
    rows += [coloured(system, lines, c * 2 - 1, steps=30).tensor for c in check.palette()[:2]]
    return image_grid(to_bytes(torch.cat(rows)), columns=COUNT, zoom=5)


def main() -> None:
    """Train, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--updates", type=int, default=2500)
    parser.add_argument("--garments", action="store_true", help="sr3, srdiff, palette: 28 x 28 in place of digits")
    args = parser.parse_args()
    for name in args.names:
        path = FOLDER / f"{name}.png"
        if name == "cdm":
            trade_off(path)
        elif name == "generative-colorization":
            painted().quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
        else:
            made = (on_garments if args.garments else trained)(name, args.updates)
            made.convert("L").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
