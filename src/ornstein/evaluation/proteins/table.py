"""The metrics of protein backbones by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.modality import Given, Measure, Modality, table_of
from ornstein.evaluation.proteins.chains import Chain, Chains
from ornstein.evaluation.proteins.clashes import OVERLAP, clashes
from ornstein.evaluation.proteins.covalent import covalent
from ornstein.evaluation.proteins.ramachandran import divergence, histograms
from ornstein.evaluation.proteins.tm_score import tm_score


@final
@dataclass(frozen=True)
class ProteinSettings:
    """What metrics of proteins depend on; those that a metric uses are part of its protocol."""

    bins: int = 36
    """of ramachandran, along each of phi and psi"""
    overlap: float = OVERLAP
    """Angstrom by which atoms may overlap before they clash"""
    seed: int = 0
    """of half-samples"""


def _ramachandran(x: Given[Chains]) -> dict[str, float]:
    bins = x.settings.bins
    if bins < 2:
        raise UsageError(f"bins must be at least 2, got {bins}")
    mine = x.column("plots", lambda chains: torch.from_numpy(histograms(chains.chains, bins)))
    theirs = x.once("reference plots", lambda: histograms(x.reference.chains, bins).sum(0))
    return {"ramachandran": divergence(mine.sum(0).numpy(), theirs)}


def _clashes(x: Given[Chains]) -> dict[str, float]:
    overlap = x.settings.overlap
    rows = x.column("clashes", lambda chains: _rows([[clashes(c, overlap), len(c)] for c in chains.chains]))
    return {"clashes": 100 * float(rows[:, 0].sum() / rows[:, 1].sum())}


def _geometry(x: Given[Chains]) -> dict[str, float]:
    def of(chain: Chain) -> list[float]:
        found = covalent(chain)
        squares = (float((d * d).sum()) for d in (found.bonds, found.angles))
        return [*squares, len(found.bonds), len(found.angles), found.breaks, len(chain) - 1]

    bonds, angles, n_bonds, n_angles, breaks, links = x.column(
        "covalent", lambda chains: _rows([of(chain) for chain in chains.chains])
    ).sum(0)
    return {
        "bond_rmsd": float((bonds / n_bonds).sqrt()),
        "angle_rmsd": float((angles / n_angles).sqrt()),
        "breaks": 100 * float(breaks / links),
    }


def _tm(x: Given[Chains]) -> dict[str, float]:
    def of(a: Chains, b: Chains) -> Tensor:
        rows = []
        for i, (p, q) in enumerate(zip(a.chains, b.chains, strict=True)):
            if len(p) != len(q):
                raise DataError(
                    f"tm_score compares residue i with residue i, and pair {i} has {len(p)} and {len(q)}; align them"
                )
            rows.append([tm_score(p.xyz[:, 1], q.xyz[:, 1])])
        return _rows(rows)

    return {"tm_score": float(x.pair_column("tm", of).mean())}


def _rows(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def _any(samples: Chains, other: Chains, name: str) -> None:
    """Sets of chains can be compared with any others; pairs are checked one by one."""


PROTEINS: Modality[Chains] = Modality(
    "proteins",
    "protein backbones",
    Chains,
    table_of(
        (
            Measure("ramachandran", "Jensen-Shannon divergence of the torsions phi, psi, bits", {"ramachandran": "lower"},
                    _ramachandran, uses=("bins",)),
            Measure("clashes", "pairs of backbone atoms that overlap, for 100 residues", {"clashes": "lower"}, _clashes,
                    frozenset(), ("overlap",)),
            Measure("geometry", "root mean square deviation of bonds (Angstrom) and angles (degrees) from Engh and Huber; gaps "
                    "for 100 links", {"bond_rmsd": "lower", "angle_rmsd": "lower", "breaks": "lower"}, _geometry, frozenset()),
            Measure("tm_score", "TM-score with the paired chain of the same length", {"tm_score": "higher"}, _tm,
                    frozenset({"reference", "pairs"})),
        )
    ),
    ("ramachandran", "clashes", "geometry"),
    ProteinSettings,
    _any,
)  # fmt: skip
