"""What commands print: text for people, JSON for machines, progress on long work."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any


def say(text: str = "") -> None:
    """A line for people. It goes to standard error, so that --json leaves only JSON on standard output."""
    print(text, file=sys.stderr, flush=True)


def emit(args: Any, result: Any, text: str) -> None:
    """The result: JSON when --json was given, else text."""
    print(json.dumps(result, indent=1, default=str) if args.json else text, flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces; the last one is not padded."""
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header) - 1)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(r, widths, strict=False)), r[-1]]).rstrip() for r in [header, *rows]
    )


class Progress:
    """A bar on a terminal; elsewhere a plain line every ``every`` seconds. ``update(fraction, text)``."""

    def __init__(self, title: str, every: float = 30.0):
        self.title, self.every = title, every
        self._bar: Any = None
        self._task: Any = None
        self._said = time.monotonic()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Rich

            self._bar = Rich(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[text]}"),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=1.0, text="")
        return self

    def update(self, fraction: float, text: str = "") -> None:
        """How far, in [0, 1], and a few words."""
        if self._bar is not None:
            self._bar.update(self._task, completed=fraction, text=text)
        elif time.monotonic() - self._said >= self.every:
            self._said = time.monotonic()
            say(f"{self.title}: {fraction:.0%} {text}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
