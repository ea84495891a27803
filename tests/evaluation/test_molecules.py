"""Metrics of molecules: SMILES by hand and against RDKit, canonical forms, bad input, files."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, RDLogger

from ornstein.core.errors import DataError
from ornstein.evaluation import measure
from ornstein.evaluation.molecules import Molecules, SmilesError, canonical, identity, molecule, read_molecules
from ornstein.evaluation.molecules.matching import maximum_matching

DRUGS = (
    "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "CN1CCC[C@H]1c2cccnc2",
    "C[N+](C)(C)CC(=O)[O-]", "O=C(O)c1ccccc1O", "c1ccc2[nH]ccc2c1", "Cn1cccc1-c1ccsc1",
    "O=[N+]([O-])c1ccccc1", "FC(F)(F)c1ccncc1",
    "CS(=O)(=O)N1CCOCC1", "C1CC2CCC1C2", "C/C=C/C#N", "[Na+].[Cl-]", "c1ccc2c(c1)ccc1ccccc12", "O=c1cc[nH]c(=O)[nH]1",
    "CC1(C)SC2C(NC(=O)Cc3ccccc3)C(=O)N2C1C(=O)O", "C12C3C4C1C5C2C3C45", "BrC%12CCCC%12I",
    "[2H]C([2H])([2H])O", "CP(=O)(O)OC", "c1ccoc1", "c1cc[n+](C)cc1", "[nH]1nnc2ccccc12", "C[Si](C)(C)Cl", "N#Cc1ccccc1B(O)O",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    RDLogger.DisableLog("rdApp.*")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("C(C", "a branch is left open"),
        ("CC)", "closed that was not opened"),
        ("C1CC", "ring 1 is left open"),
        ("C=", "the last bond or dot is left open"),
        ("CX", "'X' begins no atom"),
        ("C[Xx]", r"'\[' begins no atom"),
        ("C[CH3", r"'\[' begins no atom"),
        ("C==C", "two bond signs"),
        ("=C", "a bond without an atom"),
        ("C()C", "a branch is empty"),
        ("C11", "bound to itself"),
        ("C12CC12", "two bonds between the same atoms"),
        ("C=1CC#1", "opened and closed with different bonds"),
        ("C%1CC", "% wants two digits"),
        ("C*", r"'\*' begins no atom"),
        ("CC(C)(C)(C)C", "atom 2 .C. has 5 bonds, at most 4"),
        ("C[N+](C)(C)(C)C", r"N with charge \+1. has 5 bonds"),
        ("O=C=O=C", "O. has 4 bonds"),
        ("FC(F)=FC", "has 3 bonds, at most 1"),
        ("c1ccccc", "ring 1 is left open"),
        ("c1cccc1", "no Kekule structure"),
        ("c1ccn(=C)cc1C1", "left open"),
        ("c1cc2cccc3cccc(c1)c23", "no Kekule structure"),
        ("cC", "aromatic atom outside a ring"),
        ("C:C", "bond to an atom that is not aromatic"),
    ],
)
def test_texts_that_are_no_molecules(text: str, why: str) -> None:
    with pytest.raises(SmilesError, match=why):
        molecule(text)


def test_hydrogens_by_hand() -> None:
    def hydrogens(text: str) -> list[int]:
        return [h for *_, h in molecule(text).atoms]

    assert hydrogens("CCO") == [3, 2, 1] and hydrogens("c1ccncc1") == [1, 1, 1, 0, 1, 1] and hydrogens("[NH4+]") == [4]
    assert (
        hydrogens("CS(C)(=O)=O") == [3, 0, 3, 0, 0]
        and hydrogens("[H]C([H])([H])[H]") == [4]
        and hydrogens("[CH3]") == [3]
    )
    assert hydrogens("c1cc[nH]c1") == [1, 1, 1, 1, 1] and hydrogens("P") == [3] and hydrogens("OS(=O)O") == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("OCC", "C(O)C"),
        ("c1ccccc1", "C1=CC=CC=C1"),
        ("Cc1ccccc1C", "CC1=C(C)C=CC=C1"),  # both Kekule structures of o-xylene
        ("CN(=O)=O", "C[N+](=O)[O-]"),
        ("CN=N#N", "CN=[N+]=[N-]"),
        ("OCl(=O)(=O)=O", "[O-][Cl+3]([O-])([O-])O"),
        ("C1CCCCC1.O", "O.C1CCCCC1"),
        ("C[C@H](N)O", "C[C@@H](N)O"),  # stereochemistry is left out
        ("[H]OC", "CO"),
    ],
)
def test_one_molecule_one_form(a: str, b: str) -> None:
    assert identity(a) == identity(b) is not None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("CCO", "COC"),
        ("C1CCC2CCCCC2C1", "C1CCCC1C1CCCC1"),  # decalin and bicyclopentyl, which colour refinement cannot tell apart
        ("Oc1ccccn1", "O=c1cccc[nH]1"),  # tautomers are two molecules
        ("CC", "C=C"),
        ("[13CH4]", "C"),
        ("[NH4+]", "N"),
        ("C12C3C4C1C5C2C3C45", "C1=CC=CC=CC=C1"),
        ("C.C", "C"),
    ],
)
def test_two_molecules_two_forms(a: str, b: str) -> None:
    assert None not in (identity(a), identity(b)) and identity(a) != identity(b)


@pytest.mark.parametrize("text", DRUGS)
def test_any_spelling_has_the_same_form(text: str) -> None:
    """Random orders of atoms, aromatic and Kekule spellings, all written by RDKit."""
    chem = Chem.MolFromSmiles(text)
    kekule = Chem.Mol(chem)
    Chem.Kekulize(kekule, clearAromaticFlags=True)
    spellings = [
        *Chem.MolToRandomSmilesVect(chem, 4, randomSeed=1),
        *Chem.MolToRandomSmilesVect(kekule, 4, randomSeed=2),
    ]
    assert {identity(s) for s in spellings} == {canonical(molecule(text))}
    # and the count of hydrogens is RDKit's
    assert sum(h for *_, h in molecule(text).atoms) == sum(
        a.GetTotalNumHs() for a in chem.GetAtoms() if a.GetSymbol() != "H"
    )


def test_symmetric_cages_take_no_time() -> None:
    """Dodecahedrane C20H20: 120 symmetries, every atom alike, and no refinement tells two of them apart."""
    cage = "C12C3C4C5C1C1C6C7C2C2C8C9C3C3C%10C4C4C5C1C1C5C6C6C7C2C2C8C7C9C3C3C%10C4C1C1C5C6C2C7C31"
    chem = Chem.MolFromSmiles(cage)
    assert chem.GetNumAtoms() > 15
    for other in Chem.MolToRandomSmilesVect(chem, 2, randomSeed=3):
        assert identity(cage) == identity(other) is not None


def test_validity_agrees_with_rdkit_on_broken_texts() -> None:
    """One letter removed, changed or added. Not among the letters: # (RDKit lets a triple bond in an aromatic ring pass, and
    counts five bonds of its carbon as four) and metals (it lets atoms give bonds to them)."""
    letters, rng = "CNOcnos()123=[]+-HFSl", random.Random(0)
    wrong, valid = [], 0
    for text in DRUGS * 8:
        i, how = rng.randrange(len(text)), rng.randrange(3)
        broken = text[:i] + ("" if how == 0 else rng.choice(letters)) + text[i + (how != 2) :]
        theirs = Chem.MolFromSmiles(broken) is not None and broken != ""
        valid += theirs
        if (identity(broken) is not None) != theirs:
            wrong.append(broken)
    assert not wrong
    assert 40 < valid < 180


def test_matching_needs_blossoms() -> None:
    """Two triangles joined by a path: a greedy choice must be revised through an odd cycle."""
    edges = [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (5, 6), (4, 6), (0, 7)]
    near: list[list[int]] = [[] for _ in range(8)]
    for i, j in edges:
        near[i].append(j)
        near[j].append(i)
    mate = maximum_matching(near)
    assert all(m >= 0 and mate[m] == i and m in near[i] for i, m in enumerate(mate))
    assert maximum_matching([[1, 2], [0, 2], [0, 1]]).count(-1) == 1 and maximum_matching([]) == []


def test_shares_by_hand() -> None:
    mine = Molecules(["CCO", "OCC", "c1ccccc1", "C1=CC=CC=C1", "CC(", "C", "CCN", "C"])
    found = measure(mine, Molecules(["C(O)C", "not a molecule", "N"]), metrics=["validity", "uniqueness", "novelty"])
    assert found.values == {"validity": 7 / 8, "uniqueness": 4 / 7, "novelty": 3 / 4}
    assert all(e > 0 for e in found.errors.values())
    none = Molecules(["CC(", ""])
    assert measure(none, metrics=["validity"]).values == {"validity": 0}
    with pytest.raises(DataError, match="uniqueness: none of the 2 SMILES is a valid"):
        measure(none, metrics=["uniqueness"])
    with pytest.raises(DataError, match="the reference holds no valid molecule"):
        measure(mine, none, metrics=["novelty"])


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("SMILES Name\nCCO ethanol\n\nC\tmethane\n")
    assert read_molecules(tmp_path / "a.smi").smiles == ("CCO", "", "C")
    np.savez(tmp_path / "a.npz", smiles=np.array(["CCO", "C"]))
    assert read_molecules(tmp_path / "a.npz").smiles == ("CCO", "C")
    (tmp_path / "empty.smi").write_text("")
    (tmp_path / "bytes.smi").write_bytes(b"\xff\xfe\x00")
    for name, words in (("empty.smi", "is empty"), ("bytes.smi", "cannot read"), ("no.smi", "there is no")):
        with pytest.raises(DataError, match=words):
            read_molecules(tmp_path / name)
    with pytest.raises(DataError, match="no molecule"):
        Molecules([])
    with pytest.raises(DataError, match="molecule 1 must be a SMILES"):
        Molecules(["C", 3])  # type: ignore[list-item]
