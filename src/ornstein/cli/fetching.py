"""The bar of a fetch: which phase, how long, and how much lies in the folder that it fills.

Package managers do not say how much is to come, so the bar moves without an end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ornstein.data.watching import watched


def megabytes(folder: Path | None) -> float:
    """Of the files below a folder, which may be changing."""
    total = 0
    for file in folder.rglob("*") if folder is not None and folder.is_dir() else ():
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:  # moved or removed meanwhile
            continue
    return total / 1e6


@contextmanager
def fetching(name: str) -> Iterator[None]:
    """A bar on standard error while the block fetches, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Size(ProgressColumn):
        """Megabytes so far."""

        def render(self, task: Any) -> Text:
            return Text(f"{megabytes(task.fields['folder']):.1f} MB")

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        Size(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[phase]}", markup=False),
        console=Console(stderr=True),
        refresh_per_second=2,
        transient=True,
    )
    with bar:
        task = bar.add_task(f"fetching {name}", total=None, folder=None, phase="")
        with watched(lambda phase, folder: bar.update(task, phase=phase, folder=folder, refresh=True)):
            yield
