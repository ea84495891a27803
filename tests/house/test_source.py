"""Rules that hold for every file: docstrings, no open keyword arguments, no paths of one machine, sizes."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from house.tree import ROOT, SOURCE, modules, name_of, parse, repository_files

MEGABYTE = 1_000_000
LARGEST_FILE = 12 * MEGABYTE
ALL_WEIGHTS = 40 * MEGABYTE

DOCUMENTED = ("processes", "samplers", "denoisers", "objectives", "guidance", "likelihood")

OPEN_KEYWORDS: dict[str, str] = {
    "System.sample": "names of conditions, checked against those that the recipe declares",
    "Pipeline.sample": "names of conditions, checked against those that the folder's family reads",
    "System.log_likelihood": "names of conditions, checked against those that the recipe declares",
    "build": "fields of the recipe's config, checked against its dataclass",
    "train": "fields of the recipe's config, checked against its dataclass",
}
"""Functions that may take ``**``, and why: each checks every name it gets."""

MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:work|home|root|Users|mnt|scratch)/[\w.-]+")


def functions(
    tree: ast.AST, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda]]:
    """Every function of a file with its qualified name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Lambda):
            yield prefix + "<lambda>", node
            yield from functions(node, prefix)
        else:
            yield from functions(node, f"{prefix}{node.name}." if isinstance(node, ast.ClassDef) else prefix)


def open_keywords(tree: ast.Module) -> list[str]:
    """Functions that take ``**`` without being on the list."""
    return [
        f"line {node.lineno}: {name}(**{node.args.kwarg.arg})"
        for name, node in functions(tree)
        if node.args.kwarg is not None and name not in OPEN_KEYWORDS
    ]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_open_keywords(path: Path) -> None:
    assert not open_keywords(parse(path)), "options are named; OPEN_KEYWORDS lists the exceptions and their reasons"


@pytest.mark.parametrize(
    "code",
    ["def f(**kwargs): ...", "class A:\n    def sample(self, **c): ...", "def f():\n    return lambda **k: k"],
)
def test_open_keywords_are_found(code: str) -> None:
    assert open_keywords(ast.parse(code))


def undocumented(module: object, name: str) -> list[str]:
    """Public functions, classes and methods without a docstring; a method may inherit that of the one it overrides."""
    bare = []
    for key, value in vars(module).items():
        if key.startswith("_") or getattr(value, "__module__", None) != name:
            continue
        if inspect.isfunction(value) and not inspect.getdoc(value):
            bare.append(key)
        elif inspect.isclass(value):
            if not value.__doc__ or value.__doc__.startswith(f"{key}("):  # the latter is what dataclass makes up
                bare.append(key)
            for member, attribute in vars(value).items():
                attribute = getattr(attribute, "__func__", attribute)  # class and static methods
                if member.startswith("_") or not (inspect.isfunction(attribute) or isinstance(attribute, property)):
                    continue
                if not inspect.getdoc(getattr(value, member)) and not inherits_documentation(value, member):
                    bare.append(f"{key}.{member}")
    return bare


def inherits_documentation(cls: type, member: str) -> bool:
    """Whether a base documents the method that this one overrides."""
    return any(inspect.getdoc(base.__dict__[member]) for base in cls.__mro__[1:] if member in base.__dict__)


@pytest.mark.parametrize("path", [p for p in modules() if name_of(p).split("/")[0] in DOCUMENTED], ids=name_of)
def test_public_names_are_documented(path: Path) -> None:
    dotted = ".".join(["ornstein", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
    bare = undocumented(importlib.import_module(dotted), dotted)
    assert not bare, f"{name_of(path)} lacks docstrings: {', '.join(bare)}"


def test_undocumented_names_are_found() -> None:
    class Module:
        def method(self) -> None: ...

    def function() -> None: ...

    Module.__doc__ = None
    holder = type("holder", (), {})
    holder.Module, holder.function = Module, function  # type: ignore[attr-defined]
    assert undocumented(holder, __name__) == ["Module", "Module.method", "function"]


def text_of(path: Path) -> str:
    """The file's text; empty for binary files."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_no_paths_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in repository_files()
        if path != Path(__file__).resolve() and path.stat().st_size < MEGABYTE
        for match in MACHINE_PATH.finditer(text_of(path))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ['"/work/cache"', "open('/home/someone/x')", "x=/root/data"])
def test_paths_of_one_machine_are_found(text: str) -> None:
    assert MACHINE_PATH.search(text)


def test_sizes() -> None:
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in repository_files()}
    large = {name: size for name, size in sizes.items() if size > LARGEST_FILE}
    assert not large, f"larger than {LARGEST_FILE} bytes: {large}"
    weights = {name: size for name, size in sizes.items() if name.endswith((".safetensors", ".npz", ".onnx"))}
    assert sum(weights.values()) <= ALL_WEIGHTS, f"bundled weights take more than {ALL_WEIGHTS} bytes: {weights}"
