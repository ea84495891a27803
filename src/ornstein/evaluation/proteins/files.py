"""Backbones out of PDB and NPZ files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError
from ornstein.evaluation.proteins.chains import ATOMS, Chain, Chains
from ornstein.evaluation.reading import arrays_of, files_of

SUFFIXES = (".pdb", ".ent")


def read_pdb(path: Path) -> list[Chain]:
    """Every chain of the first model: N, CA, C and O of its residues, the first of alternative places; residues without one of
    them are left out. Format 3.3 of wwPDB, fixed columns.

    Raises:
        DataError: no such file, a coordinate that is no number (names the line), no backbone.
    """
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as e:
        raise DataError(f"cannot read {path}: {e.strerror}") from e
    chains: dict[str, dict[str, dict[str, tuple[float, ...]]]] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("ENDMDL"):
            break
        name = line[12:16].strip()
        modified = line.startswith("HETATM") and line[17:20] == "MSE"  # selenomethionine, a residue like any other
        if not (line.startswith("ATOM  ") or modified) or name not in ATOMS:
            continue
        try:
            place = tuple(float(line[k : k + 8]) for k in (30, 38, 46))
        except ValueError:
            raise DataError(f"{path}, line {number}: no coordinates in columns 31 to 54: '{line.rstrip()}'") from None
        chains.setdefault(line[21], {}).setdefault(line[22:27], {}).setdefault(name, place)
    found = []
    for residues in chains.values():
        whole = [[atoms[name] for name in ATOMS] for atoms in residues.values() if len(atoms) == len(ATOMS)]
        if whole:
            found.append(Chain(np.array(whole)))
    if not found:
        raise DataError(f"{path} holds no backbone: no residue has N, CA, C and O")
    return found


def read_chains(path: Path) -> Chains:
    """A PDB file, a folder of them (by name), or an NPZ with ``backbone [N, L, 4, 3]`` or ``[N, L, 12]`` and, if any,
    ``length``."""
    if path.suffix != ".npz":
        return Chains([chain for file in files_of(path, SUFFIXES, "protein") for chain in read_pdb(file)])
    found = arrays_of(path, ("backbone", "x"))
    x = found.main
    if x.ndim == 3 and x.shape[2] == 12:
        x = x.reshape(*x.shape[:2], 4, 3)
    if x.ndim != 4 or x.shape[2:] != (4, 3) or not np.issubdtype(x.dtype, np.floating):
        raise DataError(
            f"{path}: backbones must be floats [N, L, 4, 3] or [N, L, 12], got {x.dtype} {found.main.shape}"
        )
    lengths = found.per_item("length", len(x), np.full(len(x), x.shape[1]))
    return Chains([Chain(v[: int(n)].astype(np.float64)) for v, n in zip(x, lengths, strict=True)])
