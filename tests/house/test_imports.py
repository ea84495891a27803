"""Who may import whom. The table is the architecture; lazy imports inside functions count as well."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from house.tree import ROOT, SOURCE, modules, name_of, parse

DIFFUSION = frozenset({"processes", "denoisers", "guidance", "samplers", "objectives", "likelihood", "restoration"})
PARTS = DIFFUSION | {"core", "measurements", "networks", "codecs", "data", "training", "evaluation"}
OUTER = frozenset({"interop", "serving", "studio", "provenance", "explain"})
ALL = PARTS | OUTER | {"recipes", "testing", "weights"}

ROOMS: dict[str, frozenset[str]] = {
    "core": frozenset(),
    "networks": frozenset({"core"}),
    "processes": frozenset({"core"}),
    "denoisers": frozenset({"core", "processes"}),
    "guidance": frozenset({"core", "processes", "denoisers"}),
    "samplers": frozenset({"core", "processes", "denoisers"}),
    "likelihood": frozenset({"core", "processes", "denoisers"}),
    "measurements": frozenset({"core"}),
    "restoration": frozenset({"core", "measurements", "processes", "denoisers", "guidance", "samplers"}),
    "codecs": frozenset({"core"}),
    "objectives": frozenset({"core", "processes", "denoisers", "samplers", "codecs"}),
    "data": frozenset({"core"}),
    "training": frozenset({"core"}),
    "weights": frozenset({"core"}),
    # Metrics take samples, not models; what needs the model is in likelihood.
    "evaluation": frozenset({"core"}),
    "recipes": PARTS | {"weights"},
    "testing": PARTS | {"recipes"},
    "cli": ALL,
    **dict.fromkeys(OUTER, ALL),
}
"""What each room may import besides itself."""

FILES: dict[str, frozenset[str]] = {
    # This check is against an exact mixture, which lies among the exact problems.
    "recipes/checks/low_density.py": PARTS | {"recipes", "testing"},
    # The facade; it imports lazily.
    "__init__.py": ALL,
    "__main__.py": frozenset({"cli"}),
}
"""Files that differ from their room, each for a reason."""

FACADE = "ornstein"
MAY_USE_FACADE = frozenset({"cli", "testing", *OUTER})

CORE_LIBRARIES = frozenset({"torch", "numpy", "safetensors", "PIL", "rich", "typing_extensions"})
IMPORT_NAMES = {
    "pillow": "PIL",
    "pot": "ot",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "c2pa-python": "c2pa",
    "sse-starlette": "sse_starlette",
}
OWN_LIBRARIES: dict[str, frozenset[str]] = {
    "serving": frozenset({"fastapi", "prometheus_client", "pydantic", "uvicorn"}),
    "studio": frozenset({"fastapi", "uvicorn", "gradio"}),
}
"""Rooms that are of no use without their extra, and so may import it at the top of a file."""


def room_of(path: Path) -> str:
    """The room of a file; the package's own files have the room ``""``."""
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


def allowed(name: str) -> frozenset[str]:
    """What the file ``room/file.py`` may import."""
    if name in FILES:
        return FILES[name]
    room = name.partition("/")[0]
    if "/" not in name or room not in ROOMS:
        raise AssertionError(f"src/ornstein/{name} is in no known room: add the room to ROOMS, with what it may import")
    return ROOMS[room]


def imported(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything a file imports, wherever in the file; ``package`` resolves dots.

    A string that names one of our modules counts too: that is how lazy tables and ``import_module`` spell an import.
    """
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            names = re.findall(rf"^{FACADE}(?:\.[A-Za-z_]\w*)+$", node.value)
            yield from ((node.lineno, name) for name in names)


def target(name: str) -> str | None:
    """The room that an imported name lies in; ``"ornstein"`` for the facade, None for others' libraries."""
    parts = name.split(".")
    if parts[0] != FACADE:
        return None
    if len(parts) > 1 and (parts[1] in ROOMS or (SOURCE / parts[1]).is_dir()):
        return parts[1]
    return FACADE


def violations(name: str, tree: ast.Module) -> list[str]:
    """What the file ``room/file.py`` imports and may not."""
    room = name.rpartition("/")[0].partition("/")[0]
    package = ".".join([FACADE, *name.split("/")[:-1]])
    may = allowed(name)
    wrong = []
    for line, what in imported(tree, package):
        to = target(what)
        if to is None or to == room or to in may:
            continue
        if to == FACADE and (not room or room in MAY_USE_FACADE or what == f"{FACADE}.__version__"):
            continue
        wrong.append(
            f"src/ornstein/{name}:{line} imports {what}; it may import {', '.join(sorted(may)) or 'no other room'}"
        )
    return wrong


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_import_direction(path: Path) -> None:
    wrong = violations(name_of(path), parse(path))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("core/rng.py", "from ornstein.processes import VP"),
        ("networks/unet.py", "def f():\n    import ornstein.samplers.heun"),
        ("networks/layers/norm.py", "from ...processes import VP"),
        ("processes/gaussian.py", "from ornstein import denoisers"),
        ("samplers/table.py", "import importlib\nimportlib.import_module('ornstein.objectives.vlb')"),
        ("training/fit.py", "import ornstein"),
        ("evaluation/fid.py", "from ornstein.denoisers import Denoiser"),
        ("recipes/images/ddpm.py", "from ornstein.cli import main"),
        ("studio/app.py", "from ornstein.cli.train import train"),
    ],
)
def test_the_rule_can_fail(name: str, code: str) -> None:
    assert violations(name, ast.parse(code))


@pytest.mark.parametrize("name", ["kitchen/sink.py", "loose.py"])
def test_unknown_room_fails(name: str) -> None:
    with pytest.raises(AssertionError, match="no known room"):
        violations(name, ast.parse(""))


def test_rooms_have_no_cycle() -> None:
    """The table itself is a direction: removing rooms that import nothing that remains empties it."""
    inner = {room: set(may) & ROOMS.keys() for room, may in ROOMS.items() if room not in OUTER}
    while inner:
        free = {room for room, may in inner.items() if not may & inner.keys()}
        assert free, f"rooms that import one another: {sorted(inner)}"
        inner = {room: may for room, may in inner.items() if room not in free}


def declared() -> frozenset[str]:
    """Import names of every library in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(w for extra in project["optional-dependencies"].values() for w in extra)]
    names = [re.split(r"[^\w.-]", w)[0].lower() for w in wanted]
    return frozenset(IMPORT_NAMES.get(n, n.replace("-", "_")) for n in names)


def top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when the file is imported, those under ``if TYPE_CHECKING`` left out."""
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        for part in ("body", "orelse", "finalbody", "handlers"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                todo += getattr(node, part, [])


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_libraries_are_declared(path: Path) -> None:
    """Every library is in pyproject.toml; those of an extra are imported where they are used, not at import time."""
    tree, room = parse(path), room_of(path)
    known = declared() | OWN_LIBRARIES.get(room, frozenset())
    ours = sys.stdlib_module_names | {FACADE}
    package = ".".join([FACADE, *path.relative_to(SOURCE).parts[:-1]])
    for line, name in imported(tree, package):
        library = name.split(".")[0]
        assert library in ours | known, f"{name_of(path)}:{line} imports {library}, which pyproject.toml does not name"
    at_once = CORE_LIBRARIES | OWN_LIBRARIES.get(room, frozenset())
    for node in top_level(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for line, name in imported(ast.Module([node], []), package):
                library = name.split(".")[0]
                assert library in ours | at_once, (
                    f"{name_of(path)}:{line}: import {library}, an extra, inside the function"
                )
