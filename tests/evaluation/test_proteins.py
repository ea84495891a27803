"""Metrics of protein backbones: ideal chains, known motions, bad input, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ornstein.core.errors import DataError
from ornstein.evaluation import measure
from ornstein.evaluation.proteins import (
    Chain,
    Chains,
    clashes,
    covalent,
    divergence,
    kabsch,
    read_chains,
    tm_score,
    torsions,
)
from ornstein.evaluation.proteins.covalent import ANGLES, BONDS
from ornstein.evaluation.proteins.ramachandran import dihedral, histogram


def place(a: np.ndarray, b: np.ndarray, c: np.ndarray, bond: float, angle: float, torsion: float) -> np.ndarray:
    """The point d with |cd|, angle bcd and torsion abcd given (degrees)."""
    angle, torsion = np.radians(angle), np.radians(torsion)
    u = (c - b) / np.linalg.norm(c - b)
    n = np.cross(b - a, u)
    n /= np.linalg.norm(n)
    m = np.cross(n, u)
    return c + bond * (-np.cos(angle) * u + np.sin(angle) * (np.cos(torsion) * m + np.sin(torsion) * n))


def backbone(torsions_in: list[tuple[float, float]]) -> Chain:
    """A chain of ideal bonds and angles with the torsions given, omega 180."""
    n, ca = np.zeros(3), np.array([BONDS["N-CA"], 0, 0])
    c = place(np.array([0, 1.0, 0]), n, ca, BONDS["CA-C"], ANGLES["N-CA-C"], 0)
    rows = []
    for i, (_, psi) in enumerate(torsions_in):
        o = place(n, ca, c, BONDS["C-O"], ANGLES["CA-C-O"], psi + 180)
        rows.append([n, ca, c, o])
        if i + 1 < len(torsions_in):
            n_next = place(n, ca, c, BONDS["C-N"], ANGLES["CA-C-N"], psi)
            ca_next = place(ca, c, n_next, BONDS["N-CA"], ANGLES["C-N-CA"], 180)
            c_next = place(c, n_next, ca_next, BONDS["CA-C"], ANGLES["N-CA-C"], torsions_in[i + 1][0])
            n, ca, c = n_next, ca_next, c_next
    return Chain(np.array(rows))


HELIX, STRAND = backbone([(-57.0, -47.0)] * 40), backbone([(-120.0, 130.0)] * 40)


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_dihedral_has_the_sign_of_iupac() -> None:
    a, b, c = np.array([0, 1.0, 0]), np.zeros(3), np.array([0, 0, 1.0])
    assert dihedral(a, b, c, np.array([0, 1.0, 1])) == pytest.approx(0)
    assert dihedral(a, b, c, np.array([1.0, 0, 1])) == pytest.approx(-90)  # seen along b to c, anticlockwise from a
    assert abs(dihedral(a, b, c, np.array([0, -1.0, 1]))) == pytest.approx(180)


def test_torsions_are_those_that_the_chain_was_made_with() -> None:
    wanted = np.random.default_rng(0).uniform(-179, 179, (12, 2))
    found = torsions(backbone([tuple(w) for w in wanted]))
    np.testing.assert_allclose(found, wanted[1:-1], atol=1e-6)


def test_ideal_chains_have_ideal_geometry() -> None:
    found = covalent(HELIX)
    # The angle O-C-N follows from the two others in a plane: 360 - 120.1 - 117.2 = 122.7, which is its ideal too.
    assert np.abs(found.bonds).max() < 1e-9 and np.abs(found.angles).max() < 1e-6 and found.breaks == 0
    assert clashes(HELIX) == clashes(STRAND) == 0
    values = measure(Chains([HELIX, Chain(1.1 * STRAND.xyz)]), metrics=["geometry"]).values
    off = np.concatenate([[0.1 * BONDS[n]] * k for n, k in (("N-CA", 40), ("CA-C", 40), ("C-O", 40), ("C-N", 39))])
    assert values["bond_rmsd"] == pytest.approx(np.sqrt(np.square(off).mean() / 2), rel=1e-9)
    assert values["angle_rmsd"] < 1e-5 and values["breaks"] == 0


def test_a_gap_is_counted_and_not_measured() -> None:
    torn = HELIX.xyz.copy()
    torn[20:] += 30
    found = covalent(Chain(torn))
    assert found.breaks == 1 and np.abs(found.bonds).max() < 1e-9 and len(torsions(Chain(torn))) == 36
    assert measure(Chains([Chain(torn)]), metrics=["geometry"]).values["breaks"] == pytest.approx(100 / 39)


def test_clashes_by_hand() -> None:
    folded = np.concatenate([HELIX.xyz[:5], HELIX.xyz[:5] + np.array([0, 0, 100.0])])
    assert clashes(Chain(folded)) == 0
    folded[9, 1] = folded[0, 1] + np.array([2.7, 0, 0])  # CA on CA: 3.4 - 0.6 is allowed
    near = clashes(Chain(folded))
    folded[9, 1] = folded[0, 1] + np.array([200.0, 0, 0])
    assert near >= 1 and clashes(Chain(folded)) == 0
    flat = Chain(np.zeros((4, 4, 3)))  # all atoms in one place: every pair at least two residues apart
    assert clashes(flat) == 3 * 16
    assert measure(Chains([flat]), metrics=["clashes"]).values["clashes"] == 100 * 48 / 4


def test_ramachandran_of_known_laws() -> None:
    helices, strands = Chains([HELIX] * 3), Chains([STRAND] * 3)
    assert measure(helices, strands, metrics=["ramachandran"]).values["ramachandran"] == pytest.approx(1)
    assert measure(helices, helices, metrics=["ramachandran"]).values["ramachandran"] == 0
    both = Chains([HELIX, STRAND])
    half = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)) - 0.5
    assert measure(helices, both, metrics=["ramachandran"]).values["ramachandran"] == pytest.approx(half)
    edge = histogram(np.array([[180.0, -180.0], [-180.0, 180.0]]), 36)
    assert edge[0, 0] == 2
    with pytest.raises(DataError, match="no Ramachandran plot"):
        divergence(edge, 0 * edge)


@pytest.mark.parametrize("seed", range(3))
def test_superposition_undoes_a_motion(seed: int) -> None:
    x, r, t = np.random.default_rng(seed).normal(size=(9, 3)), rotation(seed), np.array([3.0, -4, 5])
    found_r, found_t = kabsch(x, x @ r.T + t)
    np.testing.assert_allclose(found_r, r, atol=1e-10)
    np.testing.assert_allclose(found_t, t, atol=1e-9)
    mirrored = kabsch(x, x * [1, 1, -1])[0]
    assert np.linalg.det(mirrored) == pytest.approx(1)  # a rotation, never a reflection


def test_tm_score_of_known_motions() -> None:
    ca = HELIX.xyz[:, 1]
    assert tm_score(ca, ca @ rotation(1).T + 7) == pytest.approx(1, abs=1e-12)
    assert tm_score(ca, ca * [1, 1, -1]) < 0.9  # the mirror image is another fold
    # A hinge that carries the last tenth away leaves nine tenths exact and adds next to nothing for the rest.
    torn = ca.copy()
    torn[36:] += 500
    assert tm_score(ca, torn) == pytest.approx(36 / 40, abs=1e-4)
    # Two halves swapped about: only one half fits at a time.
    half = ca.copy()
    half[20:] = half[20:] @ rotation(3).T + 400
    assert tm_score(half, ca) == pytest.approx(0.5, abs=1e-3)
    assert tm_score(ca[:3], STRAND.xyz[:3, 1]) <= 1
    found = measure(Chains([HELIX, STRAND]), Chains([HELIX, HELIX]), metrics=["tm_score"]).values["tm_score"]
    assert 0.5 < found < 0.75


def test_bad_chains_are_refused() -> None:
    hole = HELIX.xyz.copy()
    hole[5, 2, 1] = np.nan
    for chains, words in (
        ([], "no protein chain"),
        ([HELIX, Chain(hole)], "chain 1 holds NaN or infinity, first in residue 5"),
        ([Chain(HELIX.xyz[:2])], "chain 0 has 2 residues"),
        ([Chain(HELIX.xyz[:, :3])], r"\[L, 4, 3\], got shape \(40, 3, 3\)"),
    ):
        with pytest.raises(DataError, match=words):
            Chains(chains)
    with pytest.raises(DataError, match="pair 1 has 40 and 30"):
        measure(Chains([HELIX] * 2), Chains([HELIX, Chain(HELIX.xyz[:30])]), metrics=["tm_score"])
    with pytest.raises(DataError, match="have 40 and 30"):
        tm_score(HELIX.xyz[:, 1], HELIX.xyz[:30, 1])


def pdb(chain: Chain, letter: str = "A") -> str:
    lines = []
    for i, residue in enumerate(chain.xyz):
        for name, (x, y, z) in zip(("N", "CA", "C", "O"), residue, strict=True):
            lines.append(f"ATOM  {4 * i:5d}  {name:<3} ALA {letter}{i + 1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00")
    return "\n".join(lines) + "\n"


def test_files(tmp_path: Path) -> None:
    (tmp_path / "two.pdb").write_text(
        "HEADER\nMODEL 1\n" + pdb(HELIX) + pdb(STRAND, "B") + "ENDMDL\n" + pdb(HELIX, "C")
    )
    found = read_chains(tmp_path).chains
    assert [len(c) for c in found] == [40, 40]
    np.testing.assert_allclose(found[1].xyz, STRAND.xyz, atol=6e-4)
    lines = pdb(HELIX).splitlines()
    twice = lines[1][:16] + "B" + lines[1][17:30] + "   9.999" * 3 + lines[1][54:]
    (tmp_path / "gap.ent").write_text("\n".join([*lines[:2], twice, *lines[2:7], *lines[8:]]))  # residue 2 lacks its O
    gapped = read_chains(tmp_path / "gap.ent").chains[0]
    assert len(gapped) == 39 and covalent(gapped).breaks == 1
    np.testing.assert_allclose(gapped.xyz[0, 1], HELIX.xyz[0, 1], atol=6e-4)
    np.savez(tmp_path / "a.npz", backbone=np.stack([HELIX.xyz, STRAND.xyz]).reshape(2, 40, 12), length=[40, 25])
    assert [len(c) for c in read_chains(tmp_path / "a.npz").chains] == [40, 25]
    (tmp_path / "none.pdb").write_text("REMARK\n")
    (tmp_path / "torn.pdb").write_text(lines[0][:40])
    np.savez(tmp_path / "b.npz", backbone=np.zeros((2, 40, 9)))
    for name, words in (
        ("none.pdb", "no backbone"),
        ("torn.pdb", "line 1: no coordinates"),
        ("b.npz", "must be floats"),
    ):
        with pytest.raises(DataError, match=words):
            read_chains(tmp_path / name)
