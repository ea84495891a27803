"""Draw docs/pictures/systems/diffusion-inst.png: drawn pictures, what is there, and what is found in one step and in four.

    python tools/instances_picture.py [--updates 1500]

After the training of the check. Each thing has a colour; the frame is its box.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ornstein.data import shapes
from ornstein.recipes.checks import diffusion_inst as check

PATH = Path(__file__).parent.parent / "docs" / "pictures" / "systems" / "diffusion-inst.png"
COLOURS = ((230, 90, 60), (70, 140, 230), (80, 190, 100), (220, 190, 60), (170, 100, 210))
COUNT, ZOOM, GAP = 8, 3, 2


def painted(picture: Tensor, masks: Tensor, boxes: Sequence[Sequence[float]]) -> Image.Image:
    """A picture ``[1, H, W]`` of bytes under the masks ``[n, H, W]`` and frames of things."""
    x = picture.expand(3, -1, -1).float().clone()
    for i, mask in enumerate(masks):
        colour = torch.tensor(COLOURS[i % len(COLOURS)]).float()[:, None, None]
        x = torch.where(mask, 0.35 * x + 0.65 * colour, x)
    side = picture.shape[-1] * ZOOM
    out = Image.fromarray(x.round().byte().movedim(0, -1).numpy()).resize((side, side), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(out)
    for i, box in enumerate(boxes):
        draw.rectangle([side * v for v in box], outline=COLOURS[i % len(COLOURS)])
    return out


def main() -> None:
    """Train, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=check.CONFIG.steps)
    system = check.trained(0, parser.parse_args().updates)
    images = shapes(COUNT, check.SIZE, 10_000)
    x = torch.from_numpy(images.x)
    founds = [system.find(x, steps=n) for n in (1, 4)]
    rows = [[painted(p, torch.zeros(0, *p.shape[1:]).bool(), ()) for p in x]]
    rows.append([painted(p, check.truth(images, i), ()) for i, p in enumerate(x)])
    rows += [[painted(p, f.masks, f.boxes.tolist()) for p, f in zip(x, found, strict=True)] for found in founds]
    side = check.SIZE * ZOOM + GAP
    whole = Image.new("RGB", (COUNT * side - GAP, len(rows) * side - GAP), (255, 255, 255))
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            whole.paste(cell, (j * side, i * side))
    whole.quantize(64, dither=Image.Dither.NONE).save(PATH, optimize=True)
    print(f"{PATH.name}: {PATH.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
