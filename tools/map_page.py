"""Write docs/map.md: process, parametrisation, objective, sampler, network and data of each recipe, and who builds on whom.

    python tools/map_page.py [--check]

Everything is read from the recipes: each is built with its default config (without memory for its weights) and its imports
are followed, so that a new recipe needs no line here. ``--check`` writes nothing and fails where the page is not current.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from ornstein.recipes.fingerprint import FURNITURE, imports
from ornstein.recipes.registry import Card, cards

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "map.md"
CHECKS = "ornstein.recipes.checks"
COLUMNS = ("parametrisation", "objective", "sampler", "network", "data of its check")


@dataclass(frozen=True)
class Entry:
    """One recipe, in words."""

    name: str
    title: str
    area: str
    process: str
    """the class of the default config's process"""
    about: str
    """its first sentence"""
    further: tuple[str, ...]
    """processes that other configs choose"""
    parametrisation: str
    objective: str
    sampler: str
    network: str
    data: str
    builds_on: tuple[str, ...]


def tree(module: str) -> ast.Module:
    """The syntax tree of one of our modules."""
    file = import_module(module).__file__
    assert file is not None
    return ast.parse(Path(file).read_text(encoding="utf-8"))


def reached(module: str) -> Iterator[ast.Module]:
    """A module, then the recipes and the shared parts of checks that it imports."""
    todo, seen = [module], set()
    while todo:
        name = todo.pop(0)
        if name not in seen and name not in FURNITURE and name.startswith("ornstein.recipes."):
            seen.add(name)
            yield tree(name)
            todo += imports(tree(name))


def imported(trees: list[ast.Module], package: str) -> list[object]:
    """What these modules import by name from a package, in order."""
    found: list[object] = []
    for each in trees:
        for node in ast.walk(each):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package):
                found += [getattr(import_module(node.module or ""), alias.name, None) for alias in node.names]
    return list(dict.fromkeys(found))


def is_objective(thing: object) -> bool:
    """Whether it makes a loss of a batch."""
    return inspect.isclass(thing) and "batch" in inspect.signature(thing.__call__).parameters


READING = {"dag", "fsdm", "imagebart"}
"""Recipes that read numbers of their parts while they are built, so that these have to be there."""


def entry(card: Card, owners: dict[str, str]) -> Entry:
    """What one recipe is made of."""
    from ornstein.processes.base import Process

    with torch.device("cpu" if card.name in READING else "meta"):  # weights without numbers take no time
        system = card.build(card.config())
    own = [tree(card.build.__module__)]
    based = [m for m in imports(own[0]) if m in owners and owners[m] != card.name]
    process = type(system.process)
    further = [c for c in imported(own, "ornstein.processes") if inspect.isclass(c) and issubclass(c, Process)]
    shared = {process, *(base for c in (*further, process) for base in c.__mro__[1:])}
    trees = [*own, *map(tree, dict.fromkeys(based))]
    objectives = [c.__name__ for c in imported(trees, "ornstein.objectives") if is_objective(c)]
    return Entry(
        name=card.name,
        title=card.title,
        area=card.area,
        process=process.__name__,
        about=sentence(process),
        further=tuple(c.__name__ for c in further if c not in shared),
        parametrisation=part(system.denoiser, "parametrization") or type(system.denoiser).__name__,
        objective=", ".join(objectives),
        sampler=f"{system.sampler.name}, {system.steps} step{'s' * (system.steps > 1)}",
        network=part(system.denoiser, "network"),
        data=check_data(card.name),
        builds_on=tuple(dict.fromkeys(owners[m] for m in based)),
    )


def part(denoiser: nn.Module, attribute: str) -> str:
    """The class of the first such part in a denoiser and what it wraps; empty where none has one."""
    for module in denoiser.modules():
        found = getattr(module, attribute, None)
        if found is not None:
            return type(found).__name__.lstrip("_")
    return ""


def sentence(thing: type) -> str:
    """The first sentence of a docstring, on one line."""
    words = " ".join((inspect.getdoc(thing) or "").split())
    return re.split(r"(?<=[^\s.])\.\s+(?=[A-Z])", words)[0].rstrip(".") + "."


def check_data(name: str) -> str:
    """The sets that a recipe's check opens; without one it works on exact problems."""
    module = f"{CHECKS}.{name.replace('-', '_')}"
    if find_spec(module) is None:
        return "no check yet"
    calls = [n for each in reached(module) for n in ast.walk(each) if isinstance(n, ast.Call)]
    opened = [c.args[0] for c in calls if isinstance(c.func, ast.Name) and c.func.id == "open_data" and c.args]
    names = sorted({str(a.value) for a in opened if isinstance(a, ast.Constant)})
    return ", ".join(names) or "exact problem"


def entries() -> list[Entry]:
    """All recipes, by name."""
    known = cards()
    owners = {card.build.__module__: name for name, card in known.items()}
    return [entry(card, owners) for _, card in sorted(known.items())]


def link(name: str) -> str:
    """To the recipe's page, where it has one."""
    page = ROOT / "docs" / "systems" / f"{name}.md"
    return f"[{name}](systems/{name}.md)" if page.is_file() else f"`{name}`"


def drawing(rows: list[Entry]) -> list[str]:
    """Families of one process as boxes, recipes in them, and an arrow from each recipe to those that build on it."""
    lines = ["```mermaid", "flowchart LR"]
    for process, members in families(rows).items():
        lines.append(f'  subgraph {process}_["{process}"]')
        lines += [f'    {node(row.name)}["{row.name}"]' for row in members]
        lines.append("  end")
    lines += [f"  {node(base)} --> {node(row.name)}" for row in rows for base in row.builds_on]
    return [*lines, "```"]


def node(name: str) -> str:
    """A word that Mermaid takes as a name: the ending keeps clear of its own words."""
    return name.replace("-", "_") + "_r"


def families(rows: list[Entry]) -> dict[str, list[Entry]]:
    """Recipes by the process of their default config, the largest family first."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for row in rows:
        found[row.process].append(row)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def index(title: str, rows: list[Entry], column: str) -> list[str]:
    """The other way round: a part, and who has it."""
    users: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        text = getattr(row, column)
        for name in text.split(", ")[:1] if column == "sampler" else text.split(", "):
            users[name].append(link(row.name))
    lines = ["", f"## By {title}", "", f"| {title} | recipes |", "| --- | --- |"]
    return lines + [f"| `{name}` | {', '.join(users[name])} |" for name in sorted(users) if name]


def page() -> str:
    """The whole page."""
    rows = entries()
    out = [
        "# Map of the field",
        "",
        "How the systems relate. This page is generated from the recipes by `python tools/map_page.py`; a new recipe appears "
        "by itself. Families share a forward process in their default configuration; an arrow says that one recipe is made "
        "from another.",
        "",
        *drawing(rows),
    ]
    for process, members in families(rows).items():
        out += ["", f"## {process}", "", members[0].about, ""]
        out += [f"| recipe | {' | '.join(COLUMNS)} |", "| --- " * (1 + len(COLUMNS)) + "|"]
        for row in members:
            cells = (row.parametrisation, row.objective, row.sampler, row.network, row.data)
            out.append(f"| {link(row.name)} | {' | '.join(c or '-' for c in cells)} |")
        others = [f"{link(row.name)}: {', '.join(row.further)}" for row in members if row.further]
        if others:
            out += ["", f"Other processes by their configuration: {'; '.join(others)}."]
    for title, column in (
        ("parametrisation", "parametrisation"),
        ("objective", "objective"),
        ("sampler", "sampler"),
        ("network", "network"),
    ):
        out += index(title, rows, column)
    return "\n".join(out) + "\n"


def main() -> int:
    """Write or check the page."""
    text = page()
    if "--check" in sys.argv:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE.relative_to(ROOT)} is not current; run python tools/map_page.py")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
