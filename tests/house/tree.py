"""The repository as the tests of the house see it: its files and their syntax trees."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "ornstein"

_GENERATED = {"runs", "out", "demo", "build", "dist", "__pycache__"}


@cache
def repository_files() -> tuple[Path, ...]:
    """Files that belong to the repository: what git tracks or would; outside a clone, all but what tools generate."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
        return tuple(ROOT / name for name in names if name and (ROOT / name).is_file())
    return tuple(_walk(ROOT))


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_file():
            found.append(path)
        elif path.name == ".ci" or not (path.name.startswith(".") or path.name in _GENERATED):
            found += _walk(path)
    return found


@cache
def modules() -> tuple[Path, ...]:
    """Every Python file of the package."""
    return tuple(sorted(SOURCE.rglob("*.py")))


def name_of(path: Path) -> str:
    """``src/ornstein/samplers/heun.py`` -> ``samplers/heun.py``."""
    return path.relative_to(SOURCE).as_posix()


@cache
def parse(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def environment() -> dict[str, str]:
    """For subprocesses: imports this checkout, whatever is installed, and prints without colours or narrow columns."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "COLUMNS": "240", "NO_COLOR": "1", "TERM": "dumb"}
