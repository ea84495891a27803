"""Make ``src/ornstein/data/files/emoji.webp`` and ``emoji.json`` from the npm package emoji-datasource-google 16.0.0.

    npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz
    python tools/pack_emoji.py package

One lossless picture of 64 columns; ``emoji.json`` has one row a tile, in the same order: code points, name, category,
subcategory, split. Left out are the variants in skin tone (1,875, nearly equal pictures) and the category Component (the
five tones themselves).

About a tenth is the test. Emoji that differ in gender or direction only ("man walking", "woman walking facing right"), and
those with the same picture (some flags), are one group and on one side; a hash of the group decides which.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

FILES = Path(__file__).parents[1] / "src" / "ornstein" / "data" / "files"
SIDE, COLUMNS = 64, 64
HELD_OUT = 26  # of 256 values of a hash's first byte


def without_gender(code: str) -> str:
    """The code points without gender and direction."""
    code = re.sub(r"-200D-(2640|2642|27A1)(-FE0F)?", "", code)
    return re.sub(r"\b(1F468|1F469|1F9D1)\b", "person", code)


def sides(codes: list[str], tiles: list[bytes]) -> list[str]:
    """``train`` or ``test`` for each: what shares a group or a picture, through others too, is on one side."""
    parent: dict[str | bytes, str | bytes] = {}

    def root(key: str | bytes) -> str | bytes:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    groups = [without_gender(code) for code in codes]
    for group, tile in zip(groups, tiles, strict=True):
        a, b = root(group), root(tile)
        parent[b] = a
    first: dict[str | bytes, str] = {}
    for group in groups:
        first.setdefault(root(group), group)
    names = [first[root(group)] for group in groups]
    return ["test" if hashlib.sha256(n.encode()).digest()[0] < HELD_OUT else "train" for n in names]


def main() -> None:
    """Read the unpacked package, write the two files, and compare them with what was read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the unpacked npm package")
    package = parser.parse_args().package
    records = json.loads((package / "emoji.json").read_text(encoding="utf-8"))
    records = sorted((r for r in records if r["category"] != "Component"), key=lambda r: r["sort_order"])
    rows = -(-len(records) // COLUMNS)
    tiles: list[bytes] = []
    sheet = np.zeros((rows * SIDE, COLUMNS * SIDE, 4), dtype=np.uint8)
    for i, record in enumerate(records):
        with Image.open(package / "img" / "google" / "64" / record["image"]) as picture:
            tile = np.array(picture.convert("RGBA"))
        tile[tile[..., 3] == 0] = 0  # colour that nobody sees; the encoder may choose it
        tiles.append(tile.tobytes())
        top, left = i // COLUMNS * SIDE, i % COLUMNS * SIDE
        sheet[top : top + SIDE, left : left + SIDE] = tile
    Image.fromarray(sheet).save(FILES / "emoji.webp", lossless=True, quality=75, method=4)
    split = sides([r["unified"] for r in records], tiles)
    lines = [
        json.dumps([r["unified"], r["name"].lower(), r["category"], r["subcategory"], side], ensure_ascii=False)
        for r, side in zip(records, split, strict=True)
    ]
    (FILES / "emoji.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    with Image.open(FILES / "emoji.webp") as stored:
        same = np.asarray(stored) == sheet
        assert same[..., 3].all() and same[sheet[..., 3] > 0].all()
    print(f"{len(records)} emoji, {(FILES / 'emoji.webp').stat().st_size} bytes")


if __name__ == "__main__":
    main()
