"""What code a measurement stands on: a hash of the recipe's and the check's files that formatting does not change."""

from __future__ import annotations

import ast
import hashlib
import inspect
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from ornstein.core.errors import OrnsteinError
from ornstein.recipes.check import Check
from ornstein.recipes.registry import Card

FURNITURE = frozenset(
    f"ornstein.recipes.{name}"
    for name in (
        "check",
        "house",
        "images.common",
        "presets",
        "registry",
        "samples",
        "system",
        "series.common",
        "series.data",
        "series.fill",
        "series.filled",
        "series.plot",
        "series.system",
    )
)
"""What all recipes share and what does not belong to one: left out, or every change would make every row old."""


def code_hash(card: Card, check: Check) -> str:
    """A hash of the recipe's file, the check's file, and the recipes and shared parts of checks that they import.

    Comments, docstrings, white space and line breaks do not count, nor does the version of Python.
    """
    todo = [inspect.getmodule(f).__name__ for f in (card.build, check.measure)]  # type: ignore[union-attr]
    seen: dict[str, str] = {}
    while todo:
        name = todo.pop()
        if name in seen or name in FURNITURE or not name.startswith("ornstein.recipes."):
            continue
        tree = ast.parse(_source(name).read_text(encoding="utf-8"))
        seen[name] = canonical(tree)
        todo += imports(tree)
    text = "\n".join(f"{name}\n{code}" for name, code in sorted(seen.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _source(module: str) -> Path:
    file = import_module(module).__file__
    if file is None or not file.endswith(".py"):
        raise OrnsteinError(f"{module} has no source file here, so its code cannot be hashed; install from source")
    return Path(file)


def imports(tree: ast.AST) -> list[str]:
    """Names of our modules that a file imports."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            if node.module.startswith("ornstein.recipes"):
                found += [name for name in inside if _is_module(name)]
            found.append(node.module)
    return [name for name in found if name.startswith("ornstein.recipes.") and name != "ornstein.recipes.checks"]


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def canonical(tree: ast.AST) -> str:
    """The syntax tree as text, without positions, docstrings and fields that are empty (which differ between Pythons)."""
    if isinstance(tree, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        tree.body = [node for node in tree.body if not _is_text(node)]
    parts = []
    for field, value in ast.iter_fields(tree):
        if field in ("kind", "type_comment", "type_ignores", "ctx"):
            continue
        if isinstance(value, list) and value:
            parts.append(f"{field}=[{','.join(canonical(v) if isinstance(v, ast.AST) else repr(v) for v in value)}]")
        elif isinstance(value, ast.AST):
            parts.append(f"{field}={canonical(value)}")
        elif not isinstance(value, list) and (value is not None or isinstance(tree, ast.Constant)):
            parts.append(f"{field}={value!r}")
    return f"{type(tree).__name__}({','.join(parts)})"


def _is_text(node: ast.AST) -> bool:
    """A string that stands alone: documentation."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
