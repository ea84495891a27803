"""Telephone prompts of Asterisk: one voice reading 563 sentences, letters and numbers, at 16 kHz."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from ornstein.data.captions import Captions
from ornstein.data.dataset import Arrays, Table
from ornstein.data.sets.audio import padded, read_audio
from ornstein.data.sets.named import Named, held_out, split_by
from ornstein.data.sets.packages import Debian

SOUNDS = Path("usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS = Path("usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
RATE, SECONDS = 16_000, 8.0
CLASSES = ("digits", "letters", "phonetic", "sentences")


def convert(root: Path) -> dict[str, Table]:
    """The first eight seconds of every clip that has words, with its words; classes are the folders."""
    lines = gzip.decompress((root / TEXTS).read_bytes()).decode("utf-8").splitlines()
    texts = {key.strip(): text.strip() for key, _, text in (x.partition(":") for x in lines if x[:1] not in (";", ""))}
    waves, labels, captions = [], [], []
    for file in sorted((root / SOUNDS).rglob("*.g722")):
        key = file.relative_to(root / SOUNDS).with_suffix("").as_posix()
        text = texts.get(key, "")
        if not text or text.startswith("["):  # tones and silence
            continue
        waves.append(read_audio(file, RATE, "g722"))
        folder = key.partition("/")[0] if "/" in key else ""
        labels.append(CLASSES.index(folder if folder in CLASSES else "sentences"))
        captions.append(text)
    x, length = padded(waves, RATE, SECONDS)
    table = Arrays(
        x, np.array(labels), CLASSES, captions=Captions.of(captions), conds={"length": length}, of="audio", hertz=RATE
    )
    return split_by(table, held_out(captions))


SPEECH = Named(
    "speech",
    "spoken telephone prompts with their words, one voice, 8 s at 16 kHz; 11 MB, Debian; needs ornstein[audio]",
    (Debian("asterisk-core-sounds-en-g722"), Debian("asterisk-core-sounds-en")),
    "https://www.asterisk.org, voice of Allison Smith",
    "CC-BY-SA-3.0, (c) Digium Inc.; a copy passes on under the same licence and names them",
    convert,
    {"train": (502, "382ec7f8a6b7f600"), "test": (61, "412cb56f334bc29a")},
    exact=False,
    installed=str(TEXTS),
    kind="audio",
)
