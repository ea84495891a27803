"""What commands print: text for people, JSON for machines, progress on long work."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ornstein.cli.crowding import Crowding
from ornstein.core.errors import OrnsteinError


def say(text: str = "") -> None:
    """A line for people. It goes to standard error, so that --json leaves only JSON on standard output."""
    print(text, file=sys.stderr, flush=True)


def red(text: str) -> str:
    """In red where standard error is a terminal and NO_COLOR is not set."""
    return f"\033[31m{text}\033[0m" if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else text


def emit(args: Any, result: Any, text: str) -> None:
    """The result: JSON when --json was given, else text."""
    print(json.dumps(_plain(result), indent=1, default=str) if args.json else text, flush=True)


def _plain(value: Any) -> Any:
    """NaN and infinity, which JSON lacks, as null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces; the last one is not padded."""
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header) - 1)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(r, widths, strict=False)), r[-1]]).rstrip() for r in [header, *rows]
    )


def require_folder(path: Path) -> Path:
    """Make a folder that results will be written to, before the work whose results they are."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        writable = os.access(path, os.W_OK)
    except OSError as e:
        raise OrnsteinError(f"cannot write to {path}: {e.strerror}; choose another --out") from e
    if not writable:
        raise OrnsteinError(f"cannot write to {path}: no permission; choose another --out")
    return path


def duration(seconds: float) -> str:
    """``"1:05"``, ``"2:00:00"``."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


class Progress:
    """A bar on a terminal; elsewhere a plain line every ``every`` seconds. Both end up in ``log``, if given, as lines.

    ``shown``: nothing is said if it is False; of several processes, one speaks.
    """

    def __init__(self, title: str, every: float = 30.0, log: Path | None = None, shown: bool = True):
        self.title, self.every, self.log, self.shown = title, every, log, shown
        self._bar: Any = None
        self._task: Any = None
        self._said = time.monotonic()
        self._first: tuple[float, float] | None = None
        self._crowding = Crowding()

    def __enter__(self) -> Progress:
        if self.shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn
            from rich.progress import Progress as Rich

            self._bar = Rich(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[text]}", markup=False),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=1.0, text="")
        return self

    def update(self, fraction: float, text: str = "") -> None:
        """How far, in [0, 1], and a few words; the remaining time is added."""
        if not self.shown:
            return
        now = time.monotonic()
        self._first = self._first or (now, fraction)  # a resumed run starts above 0
        since, done = now - self._first[0], fraction - self._first[1]
        left = f"{duration(since * (1 - fraction) / done)} left" if done > 0 and fraction < 1 else ""
        text = ", ".join(part for part in (text, left) if part)
        if self._bar is not None:
            self._bar.update(self._task, completed=fraction, text=text)
        if (advice := self._crowding.advice()) is not None:
            say(advice) if self._bar is None else self._bar.console.print(advice, markup=False)
        if now - self._said >= self.every:
            self._said = now
            self._line(f"{self.title}: {fraction:.0%} {text}".rstrip())

    def _line(self, text: str) -> None:
        if self._bar is None:
            say(text)
        if self.log is not None:
            write_log(self.log, text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def write_log(path: Path, text: str) -> None:
    """Add a line with the time of day to a run's log."""
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
