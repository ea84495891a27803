"""SMILES read into a molecular graph. Weininger 1988; grammar of OpenSMILES 1.0."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import final

from ornstein.core.errors import DataError
from ornstein.evaluation.molecules.elements import AROMATIC, NUMBER

BONDS = {"-": 1.0, "=": 2.0, "#": 3.0, "$": 4.0, ":": 1.5, "/": 1.0, "\\": 1.0}
AROMATIC_BOND = 1.5

_BRACKET = re.compile(
    r"\[(?P<isotope>\d+)?(?P<symbol>[A-Z][a-z]?|[a-z][a-z]?)(?P<chiral>@(?:@|[A-Z]{2}\d+)?)?(?P<hydrogens>H\d*)?"
    r"(?P<charge>\++\d*|-+\d*)?(?::(?P<map>\d+))?\]"
)
_PLAIN = re.compile(r"Cl|Br|[BCNOPSFI]|[bcnops]")


class SmilesError(DataError):
    """A text that is no SMILES of a molecule; says where and why."""


@final
@dataclass
class Atom:
    """``hydrogens``: as written in brackets; None where they are to be filled up to the next valence."""

    symbol: str
    aromatic: bool = False
    charge: int = 0
    hydrogens: int | None = None
    isotope: int = 0


@final
@dataclass
class Graph:
    """Atoms, and bonds ``(i, j): order`` with i < j; 1.5 is aromatic."""

    atoms: list[Atom] = field(default_factory=list)
    bonds: dict[tuple[int, int], float] = field(default_factory=dict)

    def neighbours(self) -> list[list[int]]:
        """Of each atom."""
        out: list[list[int]] = [[] for _ in self.atoms]
        for i, j in self.bonds:
            out[i].append(j)
            out[j].append(i)
        return out


def parse(text: str) -> Graph:
    """The graph as it is written: hydrogens are not yet filled in, aromatic bonds have order 1.5. Stereo marks are read over;
    the wildcard ``*`` is no atom.

    Raises:
        SmilesError: an unknown letter or element, an open ring, branch or bracket, two bonds between two atoms.
    """
    if not text:
        raise SmilesError("the SMILES is empty")
    graph = Graph()
    stack: list[tuple[int, int]] = []
    rings: dict[int, tuple[int, float | None]] = {}
    last, place = -1, 0
    bond: float | None = None

    def fail(why: str) -> SmilesError:
        return SmilesError(f"'{text}' at letter {place + 1}: {why}")

    def join(i: int, j: int, order: float | None) -> None:
        if i == j or (min(i, j), max(i, j)) in graph.bonds:
            raise fail("two bonds between the same atoms" if i != j else "an atom is bound to itself")
        if order is None:
            order = AROMATIC_BOND if graph.atoms[i].aromatic and graph.atoms[j].aromatic else 1.0
        graph.bonds[min(i, j), max(i, j)] = order

    while place < len(text):
        letter = text[place]
        if letter in BONDS:
            if bond is not None or last < 0:
                raise fail("a bond without an atom before it" if last < 0 else "two bond signs in a row")
            bond = BONDS[letter]
            place += 1
        elif letter == "(":
            if last < 0 or bond is not None:
                raise fail("a branch must follow an atom")
            stack.append((last, len(graph.atoms)))
            place += 1
        elif letter == ")":
            if not stack or bond is not None:
                raise fail("a branch is closed that was not opened" if not stack else "a bond leads nowhere")
            last, before = stack.pop()
            if before == len(graph.atoms):
                raise fail("a branch is empty")
            place += 1
        elif letter == ".":
            if last < 0 or bond is not None or stack:
                raise fail("a dot must stand between molecules")
            last = -1
            place += 1
        elif letter.isdigit() or letter == "%":
            number, width = _ring_number(text, place)
            if number < 0 or last < 0:
                raise fail("a ring number without an atom before it" if last < 0 else "% wants two digits")
            if number in rings:
                other, written = rings.pop(number)
                if bond is not None and written is not None and bond != written:
                    raise fail(f"ring {number} is opened and closed with different bonds")
                join(other, last, bond if bond is not None else written)
            else:
                rings[number] = (last, bond)
            bond = None
            place += width
        else:
            atom, width = _atom(text, place)
            if atom is None:
                raise fail(f"'{letter}' begins no atom")
            graph.atoms.append(atom)
            if last >= 0:
                join(last, len(graph.atoms) - 1, bond)
            last, bond = len(graph.atoms) - 1, None
            place += width
    if stack or rings or bond is not None or last < 0:
        what = "a branch" if stack else f"ring {next(iter(rings))}" if rings else "the last bond or dot"
        raise fail(f"{what} is left open")
    return graph


def _ring_number(text: str, place: int) -> tuple[int, int]:
    """The number and how many letters it takes; -1 where it is none."""
    if text[place] != "%":
        return int(text[place]), 1
    digits = text[place + 1 : place + 3]
    return (int(digits), 3) if len(digits) == 2 and digits.isdigit() else (-1, 1)


def _atom(text: str, place: int) -> tuple[Atom | None, int]:
    """The atom that begins here and its width; None if there is none."""
    if text[place] != "[":
        found = _PLAIN.match(text, place)
        if found is None:
            return None, 0
        symbol = found.group()
        lower = symbol.islower()
        return Atom(symbol.capitalize() if lower else symbol, lower), len(symbol)
    found = _BRACKET.match(text, place)
    if found is None:
        return None, 0
    symbol, width = found["symbol"], len(found.group())
    lower = symbol.islower()
    if lower and symbol not in AROMATIC:
        return None, 0
    symbol = symbol.capitalize()
    if symbol not in NUMBER:
        return None, 0
    hydrogens = 0 if not found["hydrogens"] else int(found["hydrogens"][1:] or 1)
    return Atom(symbol, lower, _charge(found["charge"]), hydrogens, int(found["isotope"] or 0)), width


def _charge(text: str | None) -> int:
    """``+`` 1, ``--`` -2, ``+3`` 3."""
    if not text:
        return 0
    sign = 1 if text[0] == "+" else -1
    digits = text.strip("+-")
    return sign * (int(digits) if digits else len(text))
