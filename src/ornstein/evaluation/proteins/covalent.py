"""How far bonds and angles of a backbone are from their ideal values. Engh & Huber 2001."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from ornstein.evaluation.proteins.chains import Chain

BONDS = {"N-CA": 1.459, "CA-C": 1.525, "C-O": 1.229, "C-N": 1.336}
"""Angstrom; C-N leads to the next residue."""

ANGLES = {"N-CA-C": 111.0, "CA-C-O": 120.1, "CA-C-N": 117.2, "O-C-N": 122.7, "C-N-CA": 121.7}
"""Degrees."""


@final
@dataclass(frozen=True)
class Covalent:
    """``bonds``, ``angles``: deviations from the ideal in Angstrom and degrees, one for each; ``breaks``: gaps of the chain."""

    bonds: np.ndarray
    angles: np.ndarray
    breaks: int


def angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """At b, in degrees, by the arc tangent, which is exact near 0 and 180 as well."""
    u, v = a - b, c - b
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v), axis=-1), (u * v).sum(-1)))


def covalent(chain: Chain) -> Covalent:
    """All bonds and angles of N, CA, C and O; those across a gap are left out."""
    n, ca, c, o = (chain.xyz[:, k].astype(np.float64) for k in range(4))
    joined = chain.joined
    here, there = np.flatnonzero(joined), np.flatnonzero(joined) + 1
    lengths = {"N-CA": ca - n, "CA-C": c - ca, "C-O": o - c, "C-N": n[there] - c[here]}
    angles = {
        "N-CA-C": angle(n, ca, c), "CA-C-O": angle(ca, c, o), "CA-C-N": angle(ca[here], c[here], n[there]),
        "O-C-N": angle(o[here], c[here], n[there]), "C-N-CA": angle(c[here], n[there], ca[there]),
    }  # fmt: skip
    return Covalent(
        np.concatenate([np.linalg.norm(lengths[name], axis=-1) - ideal for name, ideal in BONDS.items()]),
        np.concatenate([angles[name] - ideal for name, ideal in ANGLES.items()]),
        int((~joined).sum()),
    )
