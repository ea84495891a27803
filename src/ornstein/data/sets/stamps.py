"""Stamps of the drawing program Tux Paint: 785 pictures and photographs with a sentence each, and 135 sounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ornstein.core.errors import DataError
from ornstein.data.captions import Captions
from ornstein.data.dataset import Arrays, Images, Table
from ornstein.data.decode import decode
from ornstein.data.resize import fit
from ornstein.data.sets.audio import padded, read_audio
from ornstein.data.sets.named import Named, held_out, split_by
from ornstein.data.sets.packages import Debian

FOLDER = Path("usr/share/tuxpaint/stamps")
SIDE = 64
RATE, SECONDS = 22_050, 3.0


def pictures(root: Path) -> dict[str, Table]:
    """Every PNG on white, whole, in the middle of 64 x 64; classes are the 16 folders."""
    classes = _classes(root)
    x, labels, captions, keys = [], [], [], []
    for text, caption in _captions(root):
        if not text.with_suffix(".png").is_file():
            continue
        picture = decode(text.with_suffix(".png"), 2 * SIDE).convert("RGB")
        side = max(picture.size)
        square = Image.new("RGB", (side, side), "white")
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        x.append(np.asarray(fit(square, SIDE, SIDE)).transpose(2, 0, 1))
        labels.append(classes.index(text.relative_to(root / FOLDER).parts[0]))
        captions.append(caption)
        keys.append(caption)
    images = Images(np.stack(x), np.array(labels), classes, captions=Captions.of(captions))
    return split_by(images, held_out(keys))


def sounds(root: Path) -> dict[str, Table]:
    """What a stamp sounds like, in one channel, the first three seconds."""
    waves, labels, captions = [], [], []
    classes = _classes(root)
    for text, caption in _captions(root):
        file = next((f for f in (text.with_suffix(".ogg"), text.with_suffix(".wav")) if f.is_file()), None)
        if file is None:
            continue
        waves.append(read_audio(file, RATE))
        labels.append(classes.index(text.relative_to(root / FOLDER).parts[0]))
        captions.append(caption)
    x, length = padded(waves, RATE, SECONDS)
    conds = {"length": length}
    table = Arrays(x, np.array(labels), classes, captions=Captions.of(captions), conds=conds, of="audio", hertz=RATE)
    return split_by(table, held_out(captions))


def _classes(root: Path) -> tuple[str, ...]:
    if not (root / FOLDER).is_dir():
        raise FileNotFoundError(2, "No such folder", str(FOLDER))
    return tuple(sorted(p.name for p in (root / FOLDER).iterdir() if p.is_dir()))


def _captions(root: Path) -> Iterator[tuple[Path, str]]:
    """The text file of each stamp, and its English sentence."""
    for text in sorted((root / FOLDER).rglob("*.txt")):
        lines = text.read_text(encoding="utf-8").splitlines()
        if not lines:
            raise DataError(f"{text} is empty; unpack the package again")
        yield text, lines[0].strip()


_ORIGIN = "https://tuxpaint.org/stamps"
_LICENCE = "GPL-2 or later, (c) 2002-2022 Bill Kendrick and contributors; a copy passes on under the same licence"

STAMPS = Named(
    "stamps",
    "785 stamps of Tux Paint with a sentence each, 64 x 64, colour, 16 categories; 161 MB, Debian",
    (Debian("tuxpaint-stamps-default"),),
    _ORIGIN,
    _LICENCE,
    pictures,
    {"train": (717, "669f2754d552bd18"), "test": (68, "4c7e032b4c4c850e")},
    exact=False,
    installed="usr/share/tuxpaint/stamps/animals",
)
SOUNDS = Named(
    "stamp-sounds",
    "135 sounds with a sentence each, 3 s at 22 kHz; 161 MB, Debian; needs ornstein[audio]",
    (Debian("tuxpaint-stamps-default"),),
    _ORIGIN,
    _LICENCE,
    sounds,
    {"train": (120, "3eecea11b156cf67"), "test": (15, "869cd52f0978b8a2")},
    exact=False,
    installed="usr/share/tuxpaint/stamps/animals",
    kind="audio",
)
