"""Protein chains of the Protein Data Bank: the backbone of 5,590 chains of 40 to 128 residues."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data.captions import Captions
from ornstein.data.dataset import Arrays, Table
from ornstein.data.sets.named import Named, held_out, split_by
from ornstein.data.sets.packages import Debian

FILE = Path("usr/share/promod3/loop_data/structure_db.dat")
SHORTEST, CAPACITY = 40, 128


def convert(root: Path) -> dict[str, Table]:
    """``[N, 128, 12]`` float32: x, y, z of N, CA, C and O of each residue in Angstrom, centred on the CA atoms, zeros after the
    end; ``length``; the caption is the sequence in one-letter code. Chains of one entry are on one side."""
    toc, sequence, xyz = read_structures(root / FILE)
    rows, lengths, captions, entries = [], [], [], []
    for entry, offset, size in toc:
        if SHORTEST <= size <= CAPACITY:
            chain = xyz[offset : offset + size].astype(np.float64) / 100  # hundredths of an Angstrom
            row = np.zeros((CAPACITY, 12), dtype=np.float32)
            row[:size] = (chain - chain[:, 1].mean(0)).reshape(size, 12)
            rows.append(row)
            lengths.append(size)
            captions.append(sequence[offset : offset + size])
            entries.append(entry)
    conds = {"length": np.array(lengths, dtype=np.int64)}
    table = Arrays(np.stack(rows), captions=Captions.of(captions), conds=conds, of="points")
    return split_by(table, held_out(entries))


def read_structures(path: Path) -> tuple[list[tuple[str, int, int]], str, np.ndarray]:
    """Entry, first residue and length of each chain; all sequences; the atoms ``[R, 4, 3]`` uint16 of all residues."""
    data = memoryview(path.read_bytes())
    place = 0x55
    toc: list[tuple[str, int, int]] = []
    while True:
        (name,) = struct.unpack_from("<i", data, place)
        if not 0 < name < 12:  # the end of the table of chains
            break
        start = place
        entry = bytes(data[place + 4 : place + 4 + name]).decode("ascii")
        place += 4 + name
        (chain,) = struct.unpack_from("<i", data, place)
        place += 4 + chain
        offset, size, _ = struct.unpack_from("<IHH", data, place)
        place += 20  # with the shift, three floats
        if toc and offset != toc[-1][1] + toc[-1][2]:
            place = start
            break
        toc.append((entry, offset, size))
    (residues,) = struct.unpack_from("<q", data, place)
    if not toc or residues != toc[-1][1] + toc[-1][2]:
        raise DataError(f"{path} has another layout than expected; the package has another version")
    place += 8
    sequence = bytes(data[place : place + residues]).decode("ascii")
    place += residues + 8
    return toc, sequence, np.frombuffer(data, "<u2", 12 * residues, place).reshape(residues, 4, 3)


PROTEINS = Named(
    "proteins",
    "backbones of 5,590 protein chains of 40 to 128 residues, with sequences; 371 MB, Debian",
    (Debian("promod3-data"),),
    "https://openstructure.org/promod3, from the Protein Data Bank",
    "data CC0 (wwPDB); package Apache-2.0",
    convert,
    {"train": (4971, "0fdb5cde63942e06"), "test": (619, "c3aa1d81ec060766")},
    exact=False,
    installed=str(FILE),
    kind="points",
)
