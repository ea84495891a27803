"""Our metrics of proteins beside Biopython's, SciPy's and tmtools'."""

from __future__ import annotations

import io

import numpy as np
from Bio.PDB import PDBParser, PPBuilder
from Bio.PDB.vectors import calc_angle
from Bio.SVDSuperimposer import SVDSuperimposer
from scipy.spatial.distance import cdist
from tmtools import tm_align

from evaluation.test_proteins import backbone, pdb
from evaluation.trusted import Numbers, Row
from ornstein.evaluation.proteins import Chain, clashes, kabsch, tm_score, torsions
from ornstein.evaluation.proteins.clashes import OVERLAP, RADII
from ornstein.evaluation.proteins.covalent import ANGLES, covalent


def crooked(seed: int, length: int = 30) -> Chain:
    """A chain of random torsions, its atoms a little out of place, to three decimals as in a file."""
    rng = np.random.default_rng(seed)
    ideal = backbone([tuple(t) for t in rng.uniform(-150, 150, (length, 2))])
    return Chain((ideal.xyz + 0.02 * rng.normal(size=ideal.xyz.shape)).round(3))


def of_torsions() -> tuple[Numbers, Numbers]:
    chain = crooked(0)
    (peptide,) = PPBuilder().build_peptides(PDBParser(QUIET=True).get_structure("x", io.StringIO(pdb(chain))))
    wanted = [angle for pair in peptide.get_phi_psi_list()[1:-1] for angle in np.degrees(pair)]
    return torsions(chain).ravel().tolist(), wanted


def of_angles() -> tuple[Numbers, Numbers]:
    chain = crooked(1)
    residues = list(PDBParser(QUIET=True).get_structure("x", io.StringIO(pdb(chain))).get_residues())
    theirs = [np.degrees(calc_angle(*(r[name].get_vector() for name in ("N", "CA", "C")))) for r in residues]
    return (covalent(chain).angles[: len(chain)] + ANGLES["N-CA-C"]).tolist(), theirs


def of_clashes() -> tuple[Numbers, Numbers]:
    chain = Chain(np.random.default_rng(2).normal(0, 4, (25, 4, 3)))
    x, residue, radius = chain.xyz.reshape(-1, 3), np.repeat(np.arange(25), 4), np.tile(RADII, 25)
    near = cdist(x, x) < radius[:, None] + radius - OVERLAP
    return [clashes(chain)], [int((near & (residue[:, None] + 1 < residue)).sum())]


def of_superposition() -> tuple[Numbers, Numbers]:
    a, b = (crooked(seed).xyz[:, 1] for seed in (3, 4))
    theirs = SVDSuperimposer()
    theirs.set(b, a)
    theirs.run()
    rotation, shift = kabsch(a, b)
    moved = a @ rotation.T + shift
    return [float(np.sqrt(np.square(moved - b).sum(1).mean())), *moved.ravel()], [
        theirs.get_rms(), *theirs.get_transformed().ravel()
    ]  # fmt: skip


def of_tm_score() -> tuple[Numbers, Numbers]:
    """Chains that are alike, so that the alignment that tmtools seeks is residue i with residue i."""
    ours, theirs = [], []
    for seed, noise in ((5, 0.3), (6, 0.8), (7, 1.5)):
        rng = np.random.default_rng(seed)
        a = backbone([(-57.0 + t, -47.0 - t) for t in rng.normal(0, 15, 70)]).xyz[:, 1]
        b = a + noise * rng.normal(size=a.shape)
        found = tm_align(a, b, "A" * 70, "A" * 70)
        assert found.seqxA == found.seqyA
        ours.append(tm_score(a, b))
        theirs.append(found.tm_norm_chain2)
    return ours, theirs


ROWS = (
    Row("torsions", "Biopython `get_phi_psi_list`", of_torsions),
    Row("angles", "Biopython `calc_angle`", of_angles),
    Row("clashes", "SciPy `cdist`", of_clashes),
    Row("superposition", "Biopython `SVDSuperimposer`", of_superposition),
    Row("TM-score", "tmtools `tm_align`", of_tm_score),
)
