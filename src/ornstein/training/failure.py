"""Why a run stopped training, left in its folder for whoever looks later."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from ornstein.training.checkpoint import write_text

FILE = "failure.json"


def note_failure(run: Path | None, step: int, what: str) -> None:
    """Leave a note; a full disk costs the note only, for the error itself is being raised."""
    if run is not None:
        with suppress(OSError):
            write_text(run / FILE, json.dumps({"step": step, "what": what}))


def clear_failure(run: Path | None) -> None:
    """Training goes on: what was noted is history."""
    if run is not None:
        (run / FILE).unlink(missing_ok=True)


def read_failure(run: Path) -> tuple[int, str] | None:
    """The step and the reason, if training of this run failed last time."""
    path = run / FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return int(found["step"]), str(found["what"])
    except (ValueError, KeyError, TypeError):
        return None
