"""Backbone torsions phi and psi, and the divergence of their law from that of other chains. Ramachandran et al. 1963."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ornstein.core.errors import DataError
from ornstein.evaluation.proteins.chains import Chain


def dihedral(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Torsion about b-c in degrees, in (-180, 180]; IUPAC's sign: clockwise from the front is positive."""
    axis = c - b
    first, second = np.cross(b - a, axis), np.cross(axis, d - c)
    sine = (np.cross(first, second) * axis).sum(-1) / np.linalg.norm(axis, axis=-1)
    return np.degrees(np.arctan2(sine, (first * second).sum(-1)))


def torsions(chain: Chain) -> np.ndarray:
    """(phi, psi) in degrees of each residue that is bound to both neighbours, ``[M, 2]``."""
    n, ca, c, _ = (chain.xyz[:, k].astype(np.float64) for k in range(4))
    phi = dihedral(c[:-2], n[1:-1], ca[1:-1], c[1:-1])
    psi = dihedral(n[1:-1], ca[1:-1], c[1:-1], n[2:])
    return np.stack([phi, psi], 1)[chain.joined[:-1] & chain.joined[1:]]


def histogram(angles: np.ndarray, bins: int) -> np.ndarray:
    """Counts over the torus, ``[bins, bins]``; 180 and -180 are one place."""
    cell = np.floor((angles + 180) / 360 * bins).astype(np.int64) % bins
    return np.bincount(cell[:, 0] * bins + cell[:, 1], minlength=bins * bins).reshape(bins, bins)


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence of two histograms in bits, in [0, 1].

    Raises:
        DataError: one of them has no counts.
    """
    if not p.sum() or not q.sum():
        raise DataError(
            "no residue is bound to both neighbours, so there is no Ramachandran plot; are the chains in order?"
        )
    p, q = p / p.sum(), q / q.sum()

    def entropy(x: np.ndarray) -> float:
        x = x[x > 0]
        return float(-(x * np.log2(x)).sum())

    return max(0.0, entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2)


def histograms(chains: Sequence[Chain], bins: int) -> np.ndarray:
    """One for each chain, ``[N, bins, bins]``."""
    return np.stack([histogram(torsions(chain), bins) for chain in chains])
