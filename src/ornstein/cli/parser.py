"""argparse with errors that suggest the nearest name and are raised rather than printed.

argparse and not tyro: parsing one flag with tyro takes 0.23 s on one core, of which ``ornstein --help`` may take 0.5 in
all; argparse takes 0.02.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from ornstein.core.errors import UsageError, suggest


class Parser(argparse.ArgumentParser):
    """One command's options."""

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> Any:  # type: ignore[override]
        """Unknown options are judged first: a misspelt option would otherwise be reported as a missing one."""
        for word in args:
            if word == "--":
                break
            name = word.split("=")[0]
            if name.startswith("--") and name not in self._option_string_actions:
                known = [o for o in self._option_string_actions if o.startswith("--")]
                raise UsageError(f"unknown option '{name}': {suggest(name, known)}; {self._see()}")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Argparse's complaint as a :class:`UsageError`."""
        if found := re.match(r"unrecognized arguments: (\S+)", message):
            kind = "option" if found[1].startswith("-") else "argument"
            raise UsageError(f"unknown {kind} '{found[1]}'; {self._see()}")
        if found := re.match(r"argument (.+): invalid choice: '(.*?)' \(choose from (.*)\)", message):
            known = [c.strip().strip("'") for c in found[3].split(",")]
            raise UsageError(f"unknown {found[1]} '{found[2]}': {suggest(found[2], known)}; {self._see()}")
        raise UsageError(f"{message.removeprefix('argument ')}; {self._see()}")

    def _see(self) -> str:
        return f"see {self.prog} --help"
