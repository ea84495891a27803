"""Our metrics of molecules beside RDKit's."""

from __future__ import annotations

import random

from rdkit import Chem, RDLogger

from evaluation.trusted import Numbers, Row
from ornstein.evaluation import measure
from ornstein.evaluation.molecules import Molecules

PARENTS = (
    "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "c1ccc2[nH]ccc2c1", "O=[N+]([O-])c1ccc(Cl)cc1", "C1CC2CCC1C2",
    "CS(=O)(=O)N1CCOCC1", "CC1(C)SC2C(NC(=O)Cc3ccccc3)C(=O)N2C1C(=O)O", "O=c1cc[nH]c(=O)[nH]1", "C[N+](C)(C)CC(=O)[O-]",
)  # fmt: skip


def texts(seed: int, count: int) -> list[str]:
    """Spellings of known molecules, some with a letter changed: many break, some become others."""
    rng, out = random.Random(seed), []
    for i in range(count):
        chem = Chem.MolFromSmiles(PARENTS[i % len(PARENTS)])
        (text,) = Chem.MolToRandomSmilesVect(chem, 1, randomSeed=seed + i)
        if rng.random() < 0.6:
            place = rng.randrange(len(text))
            text = text[:place] + rng.choice("CNOcnosS12=()F") + text[place + 1 :]
        out.append(text)
    return out


def of_shares() -> tuple[Numbers, Numbers]:
    RDLogger.DisableLog("rdApp.*")
    mine, known = texts(0, 300), texts(1000, 60)

    def spelled(smiles: list[str]) -> list[str]:
        found = [chem for s in smiles if (chem := Chem.MolFromSmiles(s)) is not None]
        for chem in found:
            Chem.RemoveStereochemistry(chem)
        return [Chem.MolToSmiles(chem) for chem in found]

    valid, seen = spelled(mine), set(spelled(known))
    theirs = [len(valid) / 300, len(set(valid)) / len(valid), len(set(valid) - seen) / len(set(valid))]
    found = measure(Molecules(mine), Molecules(known), metrics=["validity", "uniqueness", "novelty"], draws=0).values
    return list(found.values()), theirs


ROWS = (Row("validity, uniqueness, novelty", "RDKit `MolFromSmiles`, `MolToSmiles`", of_shares),)
