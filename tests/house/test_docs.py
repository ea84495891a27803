"""Every example of the README and of docs/ runs; those that take too long are read instead."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from house.examples import PYTHON, SHELL, Block, blocks, flags
from house.tree import ROOT, environment

READMES = (ROOT / "README.md", ROOT / "README.zh.md")
PAGES = (*READMES, *sorted((ROOT / "docs").rglob("*.md")))
PAGE_SECONDS = 240

MAIN = "import sys; from ornstein.cli import main; sys.argv[0] = 'ornstein'; sys.exit(main())"


@contextmanager
def at_most(seconds: int, what: str) -> Iterator[None]:
    """Raise where the body takes longer; a block that needs it is marked ``no-run``."""

    def stop(signum: int, frame: object) -> None:
        raise TimeoutError(f"{what} takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def with_command(folder: Path) -> dict[str, str]:
    """An environment with an ``ornstein`` command of this checkout first on the path."""
    (folder / "bin").mkdir(exist_ok=True)
    script = folder / "bin" / "ornstein"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{MAIN}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return environment() | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@cache
def help_of(command: str) -> str:
    """What ``ornstein COMMAND --help`` prints; fails if there is no such command."""
    words = [sys.executable, "-c", MAIN, *filter(None, [command]), "--help"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"`ornstein {command} --help` ends with {done.returncode}:\n{done.stderr}"
    return done.stdout


def unknown_flags(command: str, known: str) -> list[str]:
    """Flags of a command that its help text does not mention."""
    listed = set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", known)) | {"--help", "-h"}
    listed |= {flag.replace("_", "-") for flag in listed}
    return [flag for flag in flags(command)[1] if flag.replace("_", "-") not in listed]


def read(block: Block) -> None:
    """The check of a block that is not run: Python parses; commands and their flags exist."""
    if block.language in PYTHON:
        ast.parse(block.code, filename=block.where)
    else:
        for number, command in block.commands():
            wrong = unknown_flags(command, help_of(flags(command)[0]))
            assert not wrong, f"{block.page.name}:{number}: `{command}` has unknown flags {wrong}"


def execute(block: Block, module: types.ModuleType, env: dict[str, str]) -> None:
    """Run a block in the current folder; tracebacks show the page's own lines."""
    if block.language in PYTHON:
        code = "\n" * (block.line - 1) + block.code
        exec(compile(code, str(block.page), "exec"), vars(module))
        return
    for number, command in block.commands():
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], env=env, capture_output=True, text=True)
        tail = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        place = f"{block.page.name}:{number}"
        assert done.returncode == block.exit_code, f"{place}: `{command}` ends with {done.returncode}\n{tail}"


def check(page: Path, folder: Path) -> int:
    """Run or read every block of a page inside ``folder`` (the current one); returns how many were examples."""
    module = types.ModuleType("example")
    sys.modules[module.__name__] = module  # dataclasses look themselves up there
    env = with_command(folder)
    examples = [b for b in blocks(page) if b.language in PYTHON + SHELL]
    try:
        for block in examples:
            block.check_words()
            if block.reason:
                read(block)
            else:
                execute(block, module, env)
    finally:
        del sys.modules[module.__name__]
    return len(examples)


@pytest.mark.docs
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_examples_of(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    with at_most(PAGE_SECONDS, page.name):
        check(page, tmp_path)


@pytest.mark.docs
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_of(page: Path) -> None:
    """Files that a page links to or shows are there; ``make`` targets that it names exist."""
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for block in blocks(page):
        for name in re.findall(r"^\$? ?make ([a-z-]+)", block.code, re.MULTILINE) if block.language in SHELL else ():
            assert name in targets, f"{block.where}: the Makefile has no target '{name}'"
        text = text.replace(block.code, "") if block.code else text
    for link in re.findall(r"\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"", text):
        path = (link[0] or link[1]).split("#")[0]
        if path and not re.match(r"[a-z]+:", path):
            assert (page.parent / path).exists(), f"{page.name} links to {path}, which is not there"


@pytest.mark.docs
def test_readmes_show_the_same_commands() -> None:
    """The Chinese README is the English one in another language: same examples in the same order."""
    english, chinese = ([c.split("  #")[0] for b in blocks(p) for _, c in b.commands()] for p in READMES)
    assert [re.sub(r'"[^"]*"', '""', c) for c in english] == [re.sub(r'"[^"]*"', '""', c) for c in chinese]


def page(folder: Path, text: str) -> Path:
    """A page to try the reader on."""
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_blocks_are_found(tmp_path: Path) -> None:
    text = """```python
x = 1
```

- item

  ```bash no-run: takes hours
  $ A=1 ornstein train ddpm \\
      --steps 9  # note
  ok
  ```
"""
    first, second = blocks(page(tmp_path, text))
    assert (first.language, first.line, first.code, first.reason) == ("python", 2, "x = 1", None)
    assert (second.language, second.reason) == ("bash", "takes hours")
    assert [(n, flags(c)) for n, c in second.commands()] == [(8, ("train", ["--steps"]))]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\nx = 1\n", "not closed"),
        ("```python no-run\nx = 1\n```\n", "say why"),
        ("```python norun: slow\nx = 1\n```\n", "unknown 'norun: slow'"),
        ("```python\nassert 1 == 2, 'wrong result'\n```\n", "wrong result"),
        ("```python no-run: slow\nx = (\n```\n", "never closed"),
    ],
)
def test_wrong_pages_fail(text: str, error: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, SyntaxError), match=re.escape(error)):
        check(page(tmp_path, text), tmp_path)


def test_blocks_share_a_namespace(tmp_path: Path) -> None:
    assert check(page(tmp_path, "```python\nx = 1\n```\n```python\nassert x == 1\n```\n"), tmp_path) == 2


def test_slow_blocks_are_stopped() -> None:
    with pytest.raises(TimeoutError, match="more than 1 s"), at_most(1, "the block"):
        while True:
            pass


def test_unknown_flags_are_found() -> None:
    known = "usage: ornstein sample WHAT\n  -n INT, --count INT\n  --seed INT  see --steps\n"
    assert unknown_flags("ornstein sample runs/mine -n 4 --seeds 3 --seed=1 | head -2", known) == ["--seeds"]


def test_failing_commands_fail(tmp_path: Path) -> None:
    block = Block(tmp_path / "page.md", 1, "console", "", "$ ornstein no-such-command")
    env = with_command(tmp_path)
    with pytest.raises(AssertionError, match=r"page.md:1: `ornstein no-such-command` ends with"):
        execute(block, types.ModuleType("example"), env)
    execute(Block(block.page, 1, "console", "exits: 2", block.code), types.ModuleType("example"), env)
