"""The metrics of molecules by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from ornstein.core.errors import DataError
from ornstein.evaluation.modality import Given, Measure, Modality, table_of
from ornstein.evaluation.molecules.canonical import canonical
from ornstein.evaluation.molecules.collection import Molecules
from ornstein.evaluation.molecules.molecule import molecule
from ornstein.evaluation.molecules.smiles import SmilesError


@final
@dataclass(frozen=True)
class MoleculeSettings:
    """For all metrics of molecules."""

    seed: int = 0
    """of half-samples"""


def identity(smiles: str) -> str | None:
    """The canonical form; None of a text that is no molecule."""
    try:
        return canonical(molecule(smiles))
    except SmilesError:
        return None


def validity(identities: list[str | None]) -> float:
    """Share of texts that are molecules."""
    return sum(x is not None for x in identities) / len(identities)


def uniqueness(identities: list[str | None]) -> float:
    """Different molecules over molecules; NaN where there are none."""
    valid = [x for x in identities if x is not None]
    return len(set(valid)) / len(valid) if valid else float("nan")


def novelty(identities: list[str | None], known: set[str]) -> float:
    """Share of the different molecules that are not among the known ones; NaN where there are none."""
    found = {x for x in identities if x is not None}
    return len(found - known) / len(found) if found else float("nan")


def _identities(x: Given[Molecules]) -> list[str | None]:
    every = x.once("identities", lambda: [identity(s) for s in x.every_sample.smiles])
    return every if x.index is None else [every[i] for i in x.index.tolist()]


def _some(x: Given[Molecules], name: str) -> list[str | None]:
    found = _identities(x)
    if x.index is None and not any(found):
        raise DataError(f"{name}: none of the {len(found)} SMILES is a valid molecule; ask for validity alone")
    return found


def _novelty(x: Given[Molecules]) -> dict[str, float]:
    known = x.once("known", lambda: {k for k in map(identity, x.reference.smiles) if k is not None})
    if not known:
        raise DataError("novelty: the reference holds no valid molecule")
    return {"novelty": novelty(_some(x, "novelty"), known)}


def _any(samples: Molecules, other: Molecules, name: str) -> None:
    """Molecules can be compared with any others."""


MOLECULES: Modality[Molecules] = Modality(
    "molecules",
    "molecules as SMILES",
    Molecules,
    table_of(
        (
            Measure("validity", "share of SMILES that are molecules: syntax, valences, a Kekule structure",
                    {"validity": "higher"}, lambda x: {"validity": validity(_identities(x))}, frozenset()),
            Measure("uniqueness", "different molecules over valid ones", {"uniqueness": "higher"},
                    lambda x: {"uniqueness": uniqueness(_some(x, "uniqueness"))}, frozenset()),
            Measure("novelty", "share of the different valid molecules that are not in the reference (give the training set)",
                    {"novelty": "higher"}, _novelty),
        )
    ),
    ("validity", "uniqueness"),
    MoleculeSettings,
    _any,
)  # fmt: skip
