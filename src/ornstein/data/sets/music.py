"""Samples of Sonic Pi: 165 loops, drums and sounds at 44.1 kHz, in classes by the first word of their names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from ornstein.data.captions import Captions
from ornstein.data.dataset import Arrays, Table
from ornstein.data.sets.audio import padded, read_audio
from ornstein.data.sets.named import Named
from ornstein.data.sets.packages import Debian

FOLDER = Path("usr/share/sonic-pi/samples")
RATE, SECONDS = 44_100, 4.0
_SMALL = 3  # classes of fewer sounds become "other"


def convert(root: Path) -> dict[str, Table]:
    """The first four seconds of each, in one channel; the caption is the name."""
    files = sorted((root / FOLDER).glob("*.flac"))
    if not files:
        raise FileNotFoundError(2, "No such files", str(FOLDER / "*.flac"))
    prefixes = [file.stem.partition("_")[0] for file in files]
    count = Counter(prefixes)
    kinds = [prefix if count[prefix] >= _SMALL else "other" for prefix in prefixes]
    classes = tuple(sorted(set(kinds)))
    x, length = padded([read_audio(file, RATE) for file in files], RATE, SECONDS)
    return {
        "train": Arrays(
            x,
            np.array([classes.index(kind) for kind in kinds]),
            classes,
            captions=Captions.of(file.stem.replace("_", " ") for file in files),
            conds={"length": length},
            of="audio",
            hertz=RATE,
        )
    }


MUSIC = Named(
    "sonic-pi",
    "165 loops, drums and sounds, 4 s at 44.1 kHz, with classes; 22 MB, Debian; needs ornstein[audio]",
    (Debian("sonic-pi-samples"),),
    "https://sonic-pi.net",
    "CC0-1.0; a few CC-BY-SA, see the package's copyright file",
    convert,
    {"train": (165, "dd3432d9fe539cba")},
    exact=False,
    installed=str(FOLDER),
    kind="audio",
)
