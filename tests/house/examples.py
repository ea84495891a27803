"""Code blocks of a Markdown page, and how the documentation's tests read them.

``python`` blocks of one page share a namespace. In ``console`` and ``bash`` blocks the lines that call ``ornstein`` are
commands, with or without a leading ``$``; other lines are output or other programs. Words after the language:

* ``no-run: REASON``: not run; Python must parse and the flags of commands must exist;
* ``exits: N``: the commands of the block end with that code (what a user's mistake looks like).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PYTHON = ("python", "py")
SHELL = ("console", "bash", "sh", "shell")

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})\s*(?P<info>[^`]*)$")
_COMMAND = re.compile(r"^\$?\s*(?P<command>(?:[A-Z_]+=\S+\s+)*ornstein(?:\s.*)?)$")


@dataclass(frozen=True)
class Block:
    """One fenced block; ``line`` is the number of its first line of code."""

    page: Path
    line: int
    language: str
    words: str
    code: str

    @property
    def where(self) -> str:
        """``README.md:12``."""
        return f"{self.page.name}:{self.line}"

    @property
    def reason(self) -> str | None:
        """Why the block is not run; None if it is. A block without a reason is an error of the page."""
        if not self.words.startswith("no-run"):
            return None
        reason = self.words.removeprefix("no-run").removeprefix(":").strip()
        assert reason, f"{self.where}: say why the block is not run: ```{self.language} no-run: REASON"
        return reason

    @property
    def exit_code(self) -> int:
        """The code with which the commands end."""
        return int(self.words.removeprefix("exits:")) if self.words.startswith("exits:") else 0

    def check_words(self) -> None:
        """Words after the language that mean nothing are an error of the page."""
        assert not self.words or re.match(r"no-run\b|exits: *\d+$", self.words), f"{self.where}: unknown '{self.words}'"

    def commands(self) -> Iterator[tuple[int, str]]:
        """Line numbers and commands that call ``ornstein``; a backslash continues a command on the next line."""
        text, number = "", 0
        for i, line in enumerate(self.code.splitlines()):
            if not text:
                number = self.line + i
            text += line.strip()
            if text.endswith("\\"):
                text = text[:-1]
                continue
            if match := _COMMAND.match(text):
                yield number, match["command"]
            text = ""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order; an unclosed fence is an error of the page."""
    found: list[Block] = []
    opened: re.Match[str] | None = None
    code: list[str] = []
    start = 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if opened is None:
            if match := _FENCE.match(line):
                opened, code, start = match, [], number + 1
        elif line.strip().startswith(opened["fence"]) and not line.strip().strip(opened["fence"][0]):
            language, _, words = opened["info"].strip().partition(" ")
            found.append(Block(page, start, language.lower(), words.strip(), "\n".join(code)))
            opened = None
        else:
            code.append(line.removeprefix(opened["indent"]))
    assert opened is None, f"{page.name}:{start - 1}: a fence is not closed"
    return found


def flags(command: str) -> tuple[str, list[str]]:
    """The subcommand and the flags of ``ornstein ...``, up to a pipe or redirection: ``("train", ["--data"])``."""
    words = shlex.split(command, comments=True)
    words = words[words.index("ornstein") + 1 :]
    end = next((i for i, w in enumerate(words) if w in ("|", ">", ">>", "&&", ";", "2>")), len(words))
    words = words[:end]
    name = words[0] if words and not words[0].startswith("-") else ""
    return name, [w.split("=")[0] for w in words if re.match(r"--?[A-Za-z]", w)]
