"""What a check of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One check's result: what was looked at, what is the matter, what to do about it."""

    check: str
    level: Level
    what: str
    remedy: str = ""

    @property
    def good(self) -> bool:
        """Nothing to do."""
        return self.level == "ok"


def ok(check: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", what)


def warning(check: str, what: str, remedy: str) -> Finding:
    """Results will suffer, or may."""
    return Finding(check, "warning", what, remedy)


def error(check: str, what: str, remedy: str) -> Finding:
    """Results will be wrong."""
    return Finding(check, "error", what, remedy)
