"""The same verse in modern and in old English: the World English Bible beside the King James Version."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data.captions import Captions
from ornstein.data.dataset import Arrays, Table
from ornstein.data.sets.named import Named, as_tokens, held_out, split_by
from ornstein.data.sets.packages import Debian

FOLDER = Path("usr/share/sword/modules/texts/ztext")
MODERN, OLD = "engWEB2015eb", "engKJV2006eb"
CAPACITY = 256
_PLAIN = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u2014": "--", "\u2013": "-", "\xa0": " "}
)


def convert(root: Path) -> dict[str, Table]:
    """Pairs of verses of at most 256 letters: the modern one is x, the old one the caption and the condition ``source``
    (tokens of the same alphabet). The test holds out whole chapters."""
    old, modern = (dict(verses(root / FOLDER / name)) for name in (OLD, MODERN))
    both = [k for k in modern if k in old and 0 < len(modern[k]) <= CAPACITY and 0 < len(old[k]) <= CAPACITY]
    if not both:
        raise DataError("the two translations have no verse in common; the packages have another form than expected")
    texts = [modern[k] for k in both]
    sources = [old[k] for k in both]
    _, _, alphabet = as_tokens([*texts, *sources], CAPACITY)
    x, length, _ = as_tokens(texts, CAPACITY, alphabet)
    source, source_length, _ = as_tokens(sources, CAPACITY, alphabet)
    conds: dict[str, np.ndarray] = {"source": source, "source_length": source_length, "length": length}
    table = Arrays(x, captions=Captions.of(sources), conds=conds, of="tokens", alphabet=alphabet)
    return split_by(table, held_out([key.rpartition(".")[0] for key in both]))


def verses(module: Path) -> Iterator[tuple[str, str]]:
    """Place (``Gen.1.3``) and text of each verse of a SWORD module in compressed blocks.

    ``.bzv``: block, offset and length of each entry; ``.bzs``: offset, size and unpacked size of each block; ``.bzz``: the
    blocks. The entry before a chapter's first verse names the chapter.
    """
    for part in ("ot", "nt"):
        entries, blocks, data = ((module / f"{part}.{ending}").read_bytes() for ending in ("bzv", "bzs", "bzz"))
        unpacked: dict[int, bytes] = {}
        chapter, number = "", 0
        for block, offset, length in struct.iter_unpack("<IIH", entries):
            number += 1
            if not length:
                continue
            if block not in unpacked:
                start, size, _ = struct.unpack_from("<III", blocks, 12 * block)
                unpacked = {block: zlib.decompress(data[start : start + size])}
            text = unpacked[block][offset : offset + length].decode("utf-8")
            if head := re.search(r'<chapter[^>]*osisID="([^"]+)"', text):
                chapter, number = head[1], 0
            elif chapter:
                yield f"{chapter}.{number}", plain(text)


def plain(text: str) -> str:
    """Without notes, tags and typographic marks."""
    text = re.sub(r"<(note|title)\b.*?</\1>", " ", text, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", "", text).translate(_PLAIN).replace("\u00b6", "")
    return re.sub(r" (?=[,.;:?!])", "", re.sub(r"\s+", " ", text)).strip()


VERSES = Named(
    "verses",
    "30,080 pairs of verses in modern and in old English, at most 256 letters; 7 MB, Debian",
    (Debian("sword-text-web"), Debian("sword-text-kjv")),
    "https://ebible.org",
    "public domain (the King James Version: Crown rights in the United Kingdom)",
    convert,
    {"train": (27460, "7457f51d93e48669"), "test": (2620, "bad93a98e2c12664")},
    kind="tokens",
)
