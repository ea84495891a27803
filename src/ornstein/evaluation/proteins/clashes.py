"""Atoms that overlap: pairs of the backbone that are nearer than their van der Waals radii allow. After Word et al. 1999."""

from __future__ import annotations

import numpy as np

from ornstein.evaluation.proteins.chains import Chain

RADII = np.array([1.55, 1.7, 1.7, 1.52])
"""N, C, C, O in Angstrom (Bondi 1964)."""

OVERLAP = 0.6
"""Angstrom by which radii may overlap: a hydrogen bond N-O of 2.5 is none."""


def clashes(chain: Chain, overlap: float = OVERLAP) -> int:
    """Pairs of atoms at least two residues apart that overlap by more than ``overlap``."""
    x = chain.xyz.reshape(-1, 3).astype(np.float64)
    residue, radius = np.repeat(np.arange(len(chain)), 4), np.tile(RADII, len(chain))
    found = 0
    for i in range(len(chain) - 2):  # a residue against all later ones: never the whole matrix
        mine, others = residue == i, residue > i + 1
        distance = np.linalg.norm(x[mine][:, None] - x[others], axis=-1)
        found += int((distance < radius[mine][:, None] + radius[others] - overlap).sum())
    return found
