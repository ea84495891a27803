"""Draw docs/pictures/systems/fsdm.png: examples of classes that training never saw, and draws, after the training of the check.

python tools/few_shot_picture.py [--updates 6000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

from ornstein.codecs.base import to_bytes
from ornstein.data.companions import floats
from ornstein.recipes.checks import fsdm as check
from ornstein.recipes.samples import image_grid

PATH = Path(__file__).parent.parent / "docs" / "pictures" / "systems" / "fsdm.png"
COUNT, DRAWS, ZOOM = 12, 3, 4


def main() -> None:
    """Train, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=check.GLYPH_STEPS)
    updates = parser.parse_args().updates
    system, unseen = check.learned(0, updates)
    examples = floats(torch.from_numpy(unseen.x)).unflatten(0, (check.UNSEEN, -1))[:COUNT, : check.SHOTS]
    rows = [system.sample(COUNT, set=examples, seed=100 * i).tensor for i in range(DRAWS)]
    above = image_grid(to_bytes(examples.transpose(0, 1).flatten(0, 1)), columns=COUNT, zoom=ZOOM)
    below = image_grid(to_bytes(torch.cat(rows)), columns=COUNT, zoom=ZOOM)
    whole = Image.new("L", (above.width, above.height + 4 + below.height), 255)
    whole.paste(above.convert("L"), (0, 0))
    whole.paste(below.convert("L"), (0, above.height + 4))
    whole.quantize(32, dither=Image.Dither.NONE).save(PATH, optimize=True)
    print(f"{PATH.name}: {PATH.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
