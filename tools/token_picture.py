"""Draw docs/pictures/systems/imagebart.png: garments, the same with their upper half hidden, and draws of it, after a training.

    python tools/token_picture.py [--updates 1000]

The chain of the check on its tokens, the patches of a codebook.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

from ornstein.codecs.base import to_bytes
from ornstein.core.rng import Rng, Stream
from ornstein.data import open_data
from ornstein.recipes.checks import imagebart as check
from ornstein.recipes.images.imagebart import refilled
from ornstein.recipes.samples import image_grid

PATH = Path(__file__).parent.parent / "docs" / "pictures" / "systems" / "imagebart.png"
COUNT, DRAWS = 10, 3


def main() -> None:
    """Train, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=1000)
    updates = parser.parse_args().updates
    images, test = open_data("fashion-mnist"), open_data("fashion-mnist", split="test")
    codec = check.PatchTokens.fitted(torch.from_numpy(images.x[:2000].copy()).float() / 127.5 - 1, Stream(0))
    chain = check.learned(images, codec, 3, updates, 0)
    x = codec.encode(torch.from_numpy(test.x[:COUNT].copy()), Stream(0))
    known = torch.arange(x.shape[1]) >= codec.side // 2 * codec.side
    whole = codec.decode(x)
    hidden = whole.clone()
    hidden[:, :, : codec.side // 2 * check.PATCH] = 0
    with torch.no_grad():
        draws = [codec.decode(refilled(chain, x, known, Rng(range(100 * i, 100 * i + COUNT)))) for i in range(DRAWS)]
    grid = image_grid(to_bytes(torch.cat([whole, hidden, *draws])), columns=COUNT, zoom=2)
    grid.convert("L").quantize(32, dither=Image.Dither.NONE).save(PATH, optimize=True)
    print(f"{PATH.name}: {PATH.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
