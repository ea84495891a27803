"""MOSES: 1.9 million molecules as SMILES. Polykovskiy et al. 2020."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from ornstein.data.dataset import Arrays, Table
from ornstein.data.sets.named import Named
from ornstein.data.sets.packages import PyPI

FOLDER = Path("moses/dataset/data")
CAPACITY = 60
_SPLITS = ("train", "test", "test_scaffolds")


def convert(root: Path) -> dict[str, Table]:
    """Letter by letter, padded to 60."""
    texts = {}
    for split in _SPLITS:
        data = gzip.decompress((root / FOLDER / f"{split}.csv.gz").read_bytes())
        rows = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(rows == ord("\n"))
        if rows[-1] != ord("\n"):
            ends = np.append(ends, len(rows))
        texts[split] = (rows, ends[:-1] + 1, ends[1:])  # the first line is the header
    used = np.zeros(256, bool)
    for rows, starts, _ in texts.values():
        used[np.unique(rows[starts[0] :])] = True
    used[[ord("\n"), ord("\r")]] = False
    letters = np.flatnonzero(used)
    number = np.zeros(256, np.uint8)
    number[letters] = np.arange(1, len(letters) + 1)
    alphabet = ("", *(chr(letter) for letter in letters))
    tables: dict[str, Table] = {}
    for split, (rows, starts, ends) in texts.items():
        length = ends - starts - (rows[ends - 1] == ord("\r"))
        place = np.arange(CAPACITY)
        inside = place < length[:, None]
        x = np.where(inside, number[rows[np.minimum(starts[:, None] + place, len(rows) - 1)]], 0).astype(np.uint8)
        tables[split] = Arrays(x, conds={"length": length.astype(np.int64)}, of="tokens", alphabet=alphabet)
    return tables


MOLECULES = Named(
    "molecules",
    "MOSES: 1,936,962 molecules as SMILES, at most 57 letters; 52 MB, PyPI",
    (PyPI("molsets", "0.3.1"),),
    "https://github.com/molecularsets/moses",
    "MIT, (c) 2018 Insilico Medicine",
    convert,
    {
        "train": (1584663, "356482f1170fb8f3"),
        "test": (176074, "34a180f2e44fe5da"),
        "test_scaffolds": (176225, "d73fd61941369c06"),
    },
    kind="tokens",
)
