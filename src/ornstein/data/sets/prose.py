"""English prose: six novels of Jane Austen in pieces of 256 letters."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

from ornstein.core.errors import DataError
from ornstein.data.dataset import Arrays, Table
from ornstein.data.sets.named import Named, as_tokens, held_out, split_by
from ornstein.data.sets.packages import Debian

FILE = Path("usr/lib/R/site-library/janeaustenr/data/Rdata.rdb")
PIECE = 256
_PLAIN = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u2014": "--", "\xa0": " "})


def convert(root: Path) -> dict[str, Table]:
    """The novels one after another, paragraphs joined, cut into pieces of equal length; every tenth piece or so is held out."""
    text = "\n".join(" ".join(line.strip() for line in book) for book in books((root / FILE).read_bytes()))
    text = re.sub(r"[ \t]+", " ", text.translate(_PLAIN))
    pieces = [text[i : i + PIECE] for i in range(0, len(text) - PIECE + 1, PIECE)]
    x, _, alphabet = as_tokens(pieces, PIECE)
    return split_by(Arrays(x, of="tokens", alphabet=alphabet), held_out(pieces))


def books(data: bytes) -> list[list[str]]:
    """Lines of each vector of strings in an R database: blocks of zlib, each a vector of ``CHARSXP`` records."""
    found, place = [], 0
    while place < len(data):
        unpack = zlib.decompressobj()
        try:
            block = unpack.decompress(data[place + 4 :])
        except zlib.error as error:
            raise DataError(
                f"{FILE.name} is no R database that can be read ({error}); unpack the package again"
            ) from None
        place = len(data) - len(unpack.unused_data)
        lines = []
        for match in re.finditer(rb"\x00[\x02\x04\x05\x0c\x40]\x00\x09(....)", block, re.DOTALL):
            (length,) = struct.unpack(">i", match[1])
            if length >= 0:
                lines.append(block[match.end() : match.end() + length].decode("utf-8", "replace"))
        found.append(lines)
    return found


PROSE = Named(
    "austen",
    "six novels of Jane Austen in pieces of 256 letters, for language models; 1.6 MB, Debian",
    (Debian("r-cran-janeaustenr"),),
    "https://github.com/juliasilge/janeaustenr, from Project Gutenberg",
    "texts in the public domain; the package MIT, (c) Julia Silge",
    convert,
    {"train": (14076, "79033968a63f1152"), "test": (1576, "bd8cd2b3e1ec23e7")},
    installed=str(FILE),
    kind="tokens",
)
