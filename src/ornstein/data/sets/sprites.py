"""Battle for Wesnoth: short clips of units that move, 72 x 72, with race and action."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from ornstein.data.captions import Captions
from ornstein.data.dataset import Arrays, Table
from ornstein.data.decode import decode
from ornstein.data.sets.named import Named, held_out, split_by
from ornstein.data.sets.packages import Debian

FOLDER = Path("usr/share/games/wesnoth/1.16/data/core/images/units")
SIDE, FRAMES = 72, 16
_NUMBERED = re.compile(r"(.+?)-?(\d+)")


def convert(root: Path) -> dict[str, Table]:
    """Numbered pictures of one name, four or more, are a clip: on white, the last one held to 16 frames; classes are races."""
    if not (root / FOLDER).is_dir():
        raise FileNotFoundError(2, "No such folder", str(FOLDER))
    clips: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for file in sorted((root / FOLDER).rglob("*.png")):
        if match := _NUMBERED.fullmatch(file.stem):
            clips[f"{file.parent.relative_to(root / FOLDER).as_posix()}/{match[1]}"].append((int(match[2]), file))
    names, frames, lengths = [], [], []
    for name, files in sorted(clips.items()):
        files.sort()
        with Image.open(files[0][1]) as first:
            if first.size != (SIDE, SIDE) or len(files) < 4 or "/" not in name:
                continue
        pictures = [np.asarray(decode(file, SIDE).convert("RGB")) for _, file in files[:FRAMES]]
        if {p.shape for p in pictures} != {(SIDE, SIDE, 3)}:
            continue
        held = pictures + [pictures[-1]] * (FRAMES - len(pictures))
        frames.append(np.stack(held).transpose(0, 3, 1, 2))
        names.append(name)
        lengths.append(len(pictures))
    races = [name.partition("/")[0] for name in names]
    classes = tuple(sorted(set(races)))
    table = Arrays(
        np.stack(frames),
        np.array([classes.index(race) for race in races]),
        classes,
        captions=Captions.of(re.sub(r"[-_/+]+", " ", name) for name in names),
        conds={"length": np.array(lengths, dtype=np.int64)},
        of="video",
    )
    return split_by(table, held_out([re.sub(r"-\w+$", "", name) for name in names]))


SPRITES = Named(
    "wesnoth",
    "420 clips of moving units, 16 frames of 72 x 72, colour, with race and action; 146 MB, Debian",
    (Debian("wesnoth-1.16-data"),),
    "https://www.wesnoth.org",
    "GPL-2 or later, (c) the Wesnoth contributors; a copy passes on under the same licence",
    convert,
    {"train": (376, "2a5f643377e6770c"), "test": (44, "3fc28f9da5cef19f")},
    installed=str(FOLDER),
    kind="video",
)
