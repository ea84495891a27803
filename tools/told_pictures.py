"""Draw docs/pictures/systems/NAME.png: what a system that was trained to restore makes of digits, after a short training.

    python tools/told_pictures.py NAME [NAME ...] [--updates 1500]

Above held-out digits of 8 x 8, below them what the system is told, and then two draws. A cascade (cdm) is drawn in closed
form: what its second stage makes of a first stage that errs, by the noise on what it is told.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import ornstein
from ornstein.codecs.base import to_bytes
from ornstein.core.rng import Stream
from ornstein.data import open_data
from ornstein.recipes.samples import image_grid

FOLDER = Path(__file__).parent.parent / "docs" / "pictures" / "systems"
COUNT = 12
SMALL: dict[str, Any] = {"classes": "", "widths": "32,64", "blocks": 1, "patch": 1, "precision": "fp32", "batch": 64}
SMALL |= {"ema_half_life": 5000}


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
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.2))
    axes[0].plot(levels, [float((x - x.sign()).std()) for x in draws])
    axes[0].axhline(cdm.VAR**0.5, color="grey", linewidth=0.8, linestyle="--")
    axes[0].set(title="deviation about the mode (dashed: in truth)", xlabel="level of the noise", xscale="log")
    axes[1].plot(levels, [float((x.sign() != k).double().mean()) for x in draws], color="tab:orange")
    axes[1].set(title="share in another mode than the first stage", xlabel="level of the noise", xscale="log")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    Image.open(path).convert("RGB").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Train, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--updates", type=int, default=1500)
    args = parser.parse_args()
    x = torch.from_numpy(open_data("digits", size=8, split="test").x[:COUNT].copy()).float() / 127.5 - 1
    for name in args.names:
        if name == "cdm":
            trade_off(FOLDER / "cdm.png")
            continue
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            system, _ = ornstein.train(name, data="digits", size=8, out=run, settings=SMALL, steps=args.updates)
        told = system.told
        assert told is not None
        given = told.of_data(x, Stream(0))
        rows = [x, given[:, :1]]
        rows += [system.sample(COUNT, seed=100 * i, steps=50, **{told.name: given}).tensor for i in range(2)]
        picture = image_grid(to_bytes(torch.cat([r.clamp(-1, 1) for r in rows])), columns=COUNT, zoom=5)
        path = FOLDER / f"{name}.png"
        picture.convert("L").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
