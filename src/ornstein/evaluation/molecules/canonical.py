"""One text for one molecule: a canonical form of its graph.

Two SMILES are the same molecule where their skeletons are, with the same element, isotope, charge and number of hydrogens at
every atom. Bond orders are left out: with hydrogens and charges given, what differs in them are resonance structures (the two
Kekule forms of a benzene ring). Stereochemistry is left out too. Atoms are ordered by refinement of colours (Weisfeiler & Leman
1968), ties are broken by trying each of the tied atoms and taking the least result (McKay 1981).
"""

from __future__ import annotations

from collections.abc import Sequence

from ornstein.evaluation.molecules.molecule import Molecule

Form = tuple[tuple[tuple[str, int, int, int], ...], tuple[tuple[int, int], ...]]


def canonical(of: Molecule) -> str:
    """Equal for equal molecules, and only for these."""
    neighbours: list[list[int]] = [[] for _ in of.atoms]
    for i, j in of.bonds:
        neighbours[i].append(j)
        neighbours[j].append(i)
    kinds = sorted(set(of.atoms))
    colours = _refined([kinds.index(atom) for atom in of.atoms], neighbours)
    atoms, bonds = _least(colours, neighbours, of)
    return ";".join([" ".join(f"{s}.{m}.{c}.{h}" for s, m, c, h in atoms), " ".join(f"{i}-{j}" for i, j in bonds)])


def _refined(colours: list[int], neighbours: Sequence[Sequence[int]]) -> list[int]:
    """Colours split by the colours around them until nothing changes; ranks keep their order."""
    count = len(set(colours))
    while True:
        keys = [(colours[i], sorted(colours[j] for j in near)) for i, near in enumerate(neighbours)]
        rank = {key: i for i, key in enumerate(sorted({(c, tuple(n)) for c, n in keys}))}
        colours = [rank[c, tuple(n)] for c, n in keys]
        if len(rank) == count:
            return colours
        count = len(rank)


def _ties(colours: Sequence[int]) -> list[int]:
    """The atoms of the first colour that several share; empty if none is."""
    cells: dict[int, list[int]] = {}
    for i, colour in enumerate(colours):
        cells.setdefault(colour, []).append(i)
    return next((cells[c] for c in sorted(cells) if len(cells[c]) > 1), [])


def _apart(colours: Sequence[int], atom: int, neighbours: Sequence[Sequence[int]]) -> list[int]:
    """The colours with one atom before those that it is tied with, refined."""
    split = [2 * c + 1 for c in colours]
    split[atom] -= 1
    return _refined(split, neighbours)


def _form(colours: Sequence[int], of: Molecule) -> Form:
    """The graph with its atoms in the order of their colours, which all differ."""
    order = sorted(range(len(colours)), key=lambda i: colours[i])
    place = {i: k for k, i in enumerate(order)}
    bonds = sorted((min(place[i], place[j]), max(place[i], place[j])) for i, j in of.bonds)
    return tuple(of.atoms[i] for i in order), tuple(bonds)


def _first(colours: list[int], neighbours: Sequence[Sequence[int]], of: Molecule) -> Form:
    """The form reached by taking the first of all tied atoms every time."""
    while tied := _ties(colours):
        colours = _apart(colours, tied[0], neighbours)
    return _form(colours, of)


def _least(colours: list[int], neighbours: Sequence[Sequence[int]], of: Molecule) -> Form:
    """The least form over all ways to break ties. An atom from which the same form is reached as from the first one is its
    image under a symmetry of the graph, and need not be tried further."""
    tied = _ties(colours)
    if not tied:
        return _form(colours, of)
    begin = [_apart(colours, atom, neighbours) for atom in tied]
    if _interchangeable(tied, neighbours):
        return _least(begin[0], neighbours, of)
    best, reached = _least(begin[0], neighbours, of), _first(begin[0], neighbours, of)
    for other in begin[1:]:
        if _first(other, neighbours, of) != reached:
            best = min(best, _least(other, neighbours, of))
    return best


def _interchangeable(tied: Sequence[int], neighbours: Sequence[Sequence[int]]) -> bool:
    """Whether the tied atoms have exactly the same neighbours, as the fluorines of CF3 have: any order will do."""
    first = sorted(neighbours[tied[0]])
    return all(sorted(neighbours[i]) == first for i in tied[1:])
