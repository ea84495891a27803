"""Emoji: 1,906 pictures of Noto Emoji, 64 x 64, colour, with names, nine categories; they come with the package.

The caption of a picture is its Unicode name in small letters. 1,707 are for training, 199 for the test. Emoji that differ
in gender or direction only ("man walking", "woman walking facing right") and those with the same picture (some flags) are
all on one side, so that what is held out was not learned under another name; ``tools/pack_emoji.py`` decides the side.
See ``files/emoji-LICENSE.txt``.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from PIL import Image

from ornstein.data.captions import Captions
from ornstein.data.dataset import Images

CATEGORIES = {
    "Smileys & Emotion": "smileys",
    "People & Body": "people",
    "Animals & Nature": "animals",
    "Food & Drink": "food",
    "Travel & Places": "travel",
    "Activities": "activities",
    "Objects": "objects",
    "Symbols": "symbols",
    "Flags": "flags",
}
CLASSES = tuple(CATEGORIES.values())
SOURCE = "https://github.com/googlefonts/noto-emoji, by way of the npm package emoji-datasource-google 16.0.0"
LICENCE = "Apache-2.0, (c) Google LLC (flags: public domain); names MIT, (c) 2013 Cal Henderson"
SIDE = 64
_COLUMNS = 64  # of the packed picture


def read(split: str) -> Images:
    """The ``train`` or ``test`` pictures, on white."""
    rgba, rows = read_rgba(split), _rows(split)
    alpha = rgba[:, 3:].astype(np.uint16)
    white = (rgba[:, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    records = [_records()[i] for i in rows]
    labels = np.array([CLASSES.index(CATEGORIES[record[2]]) for record in records])
    captions = Captions.of(record[1] for record in records)
    return Images(white.astype(np.uint8), labels, CLASSES, "emoji", SOURCE, LICENCE, captions)


def read_rgba(split: str) -> np.ndarray:
    """The same pictures as ``[N, 4, 64, 64]`` with their transparency, not put on anything."""
    with as_file(files("ornstein.data") / "files" / "emoji.webp") as path, Image.open(path) as picture:
        sheet = np.asarray(picture)
    tiles = sheet.reshape(-1, SIDE, _COLUMNS, SIDE, 4).transpose(0, 2, 4, 1, 3).reshape(-1, 4, SIDE, SIDE)
    return tiles[_rows(split)]


def codes(split: str) -> list[str]:
    """The code points of each picture: ``"1F468-200D-1F680"``."""
    return [_records()[i][0] for i in _rows(split)]


@cache
def _records() -> list[list[str]]:
    """Code points, name, category, subcategory and split of each tile."""
    text = (files("ornstein.data") / "files" / "emoji.json").read_text(encoding="utf-8")
    records: list[list[str]] = json.loads(text)
    return records


def _rows(split: str) -> list[int]:
    return [i for i, record in enumerate(_records()) if record[4] == split]
