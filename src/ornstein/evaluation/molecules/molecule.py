"""Molecules: a SMILES whose aromatic bonds can be written as single and double ones and whose atoms have a possible valence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from ornstein.evaluation.molecules.elements import valences
from ornstein.evaluation.molecules.matching import maximum_matching
from ornstein.evaluation.molecules.smiles import AROMATIC_BOND, Atom, Graph, SmilesError, parse


@final
@dataclass(frozen=True)
class Molecule:
    """Atoms as ``(symbol, isotope, charge, hydrogens)`` and whole bond orders; hydrogens are counted, not atoms."""

    atoms: tuple[tuple[str, int, int, int], ...]
    bonds: dict[tuple[int, int], int]


def molecule(text: str) -> Molecule:
    """Read a SMILES and check that it is a molecule.

    Aromatic atoms must lie in rings, and those that lack a bond must find partners for double bonds (a Kekule structure);
    no atom may exceed its largest valence. Nitro groups and azides with five-valent nitrogen, and acids such as HClO4, are
    written with charges.

    Raises:
        SmilesError: it is none (says why).
    """
    graph = parse(text)
    _kekulise(graph, text)
    _separate_charges(graph)
    hydrogens = [_hydrogens(graph, i, text) for i in range(len(graph.atoms))]
    return _without_hydrogen_atoms(graph, hydrogens)


def _total(graph: Graph, i: int) -> float:
    """Sum of bond orders; aromatic bonds count 1."""
    return sum(1.0 if order == AROMATIC_BOND else order for pair, order in graph.bonds.items() if i in pair)


def _kekulise(graph: Graph, text: str) -> None:
    """Aromatic bonds become single or double."""
    aromatic = [i for i, atom in enumerate(graph.atoms) if atom.aromatic]
    bonds = [pair for pair, order in graph.bonds.items() if order == AROMATIC_BOND]
    if any(not (graph.atoms[i].aromatic and graph.atoms[j].aromatic) for i, j in bonds):
        raise SmilesError(f"'{text}': an aromatic bond to an atom that is not aromatic")
    if not aromatic:
        return
    bridges = _bridges(graph)
    in_ring = {i for pair in graph.bonds if pair not in bridges for i in pair}
    if any(i not in in_ring for i in aromatic):
        raise SmilesError(f"'{text}': an aromatic atom outside a ring")
    joined = {i for pair in bonds if pair not in bridges for i in pair}
    # Written in lower case without an aromatic neighbour: an ordinary atom of the ring, as other readers take it.
    open_ones = {i for i in aromatic if i in joined and _lacks_a_bond(graph, i)}
    neighbours: list[list[int]] = [[] for _ in graph.atoms]
    for i, j in bonds:
        if (i, j) not in bridges and i in open_ones and j in open_ones:
            neighbours[i].append(j)
            neighbours[j].append(i)
    mate = maximum_matching(neighbours)
    if any(mate[i] < 0 for i in open_ones):
        raise SmilesError(f"'{text}': the aromatic atoms have no Kekule structure; is a hydrogen missing, as in [nH]?")
    for i, j in bonds:
        graph.bonds[i, j] = 2.0 if mate[i] == j else 1.0


def _lacks_a_bond(graph: Graph, i: int) -> bool:
    """Whether an aromatic atom needs a double bond to reach its next valence."""
    atom = graph.atoms[i]
    known = valences(atom.symbol, atom.charge)
    have = _total(graph, i) + (atom.hydrogens or 0)
    return known is not None and any(v > have for v in known) and have not in known


def _bridges(graph: Graph) -> set[tuple[int, int]]:
    """Bonds that lie in no ring (Tarjan 1974), without recursion."""
    neighbours = graph.neighbours()
    order, low = [-1] * len(neighbours), [0] * len(neighbours)
    found, count = set(), 0
    for root in range(len(neighbours)):
        if order[root] >= 0:
            continue
        order[root] = low[root] = count
        count += 1
        stack = [(root, -1, iter(neighbours[root]))]
        while stack:
            v, parent, rest = stack[-1]
            for w in rest:
                if w == parent:
                    continue
                if order[w] >= 0:
                    low[v] = min(low[v], order[w])
                    continue
                order[w] = low[w] = count
                count += 1
                stack.append((w, v, iter(neighbours[w])))
                break
            else:
                stack.pop()
                if parent >= 0:
                    low[parent] = min(low[parent], low[v])
                    if low[v] > order[parent]:
                        found.add((min(v, parent), max(v, parent)))
    return found


def _separate_charges(graph: Graph) -> None:
    """Five-valent nitrogen with =O becomes N+ with O-, the middle of N=N#N becomes N+ with N- at its end; a halogen among
    oxygens gives each =O an electron."""
    neighbours = graph.neighbours()
    for i, atom in enumerate(graph.atoms):
        if atom.symbol in ("Cl", "Br", "I") and not atom.charge and _total(graph, i) in (3, 5, 7):
            if all(graph.atoms[j].symbol == "O" for j in neighbours[i]):
                for j in neighbours[i]:
                    if graph.bonds[min(i, j), max(i, j)] == 2.0 and not graph.atoms[j].charge:
                        graph.bonds[min(i, j), max(i, j)] = 1.0
                        graph.atoms[j].charge, graph.atoms[j].hydrogens = -1, graph.atoms[j].hydrogens or 0
                        atom.charge += 1
            continue
        if atom.symbol != "N" or atom.charge or _total(graph, i) + (atom.hydrogens or 0) != 5:
            continue
        for symbol, order in (("O", 2.0), ("N", 3.0), ("N", 2.0)):
            ends = [
                j for j in neighbours[i]
                if graph.atoms[j].symbol == symbol and not graph.atoms[j].charge and graph.bonds[min(i, j), max(i, j)] == order
                and len(neighbours[j]) == 1
            ]  # fmt: skip
            if ends:
                j = ends[0]
                graph.bonds[min(i, j), max(i, j)] = order - 1
                atom.charge, graph.atoms[j].charge = 1, -1
                atom.hydrogens = atom.hydrogens or 0
                graph.atoms[j].hydrogens = graph.atoms[j].hydrogens or 0
                break


def _hydrogens(graph: Graph, i: int, text: str) -> int:
    """As written, or what fills the next valence; refused where no valence is large enough."""
    atom: Atom = graph.atoms[i]
    bonds = int(_total(graph, i))
    known = valences(atom.symbol, atom.charge)
    if known is None:
        return atom.hydrogens or 0
    have = bonds + (atom.hydrogens or 0)
    if have > max(known):
        charge = f" with charge {atom.charge:+d}" if atom.charge else ""
        raise SmilesError(
            f"'{text}': atom {i + 1} ({atom.symbol}{charge}) has {have} bonds, at most {max(known)} are possible"
        )
    if atom.hydrogens is not None:
        return atom.hydrogens
    return min(v for v in known if v >= bonds) - bonds


def _without_hydrogen_atoms(graph: Graph, hydrogens: list[int]) -> Molecule:
    """Plain hydrogen atoms bound to one heavier atom are counted with it."""
    neighbours = graph.neighbours()
    gone = set()
    for i, atom in enumerate(graph.atoms):
        plain = atom.symbol == "H" and not atom.charge and not atom.isotope and not hydrogens[i]
        if plain and len(neighbours[i]) == 1 and graph.atoms[neighbours[i][0]].symbol != "H":
            gone.add(i)
            hydrogens[neighbours[i][0]] += 1
    kept = [i for i in range(len(graph.atoms)) if i not in gone]
    place = {i: k for k, i in enumerate(kept)}
    atoms = tuple((graph.atoms[i].symbol, graph.atoms[i].isotope, graph.atoms[i].charge, hydrogens[i]) for i in kept)
    bonds = {(place[i], place[j]): int(order) for (i, j), order in graph.bonds.items() if i in place and j in place}
    return Molecule(atoms, bonds)
