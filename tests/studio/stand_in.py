"""Stands in for the ``ornstein`` command: writes at once what training and evaluation write in minutes."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from PIL import Image


def value(name: str) -> str:
    """What follows an option."""
    return sys.argv[sys.argv.index(name) + 1]


def train() -> int:
    """Two records and a strip, then waits to be stopped; a checkpoint of nothing when it is."""
    run = Path(value("--out"))
    (run / "samples").mkdir(parents=True)
    rows = [{"step": step, "loss": 2.0 / step, "loss/level_0": 0.1, "loss/level_7": 0.8} for step in (25, 50)]
    (run / "metrics.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    Image.new("L", (80, 8), 128).save(run / "samples" / "step-0000050.png")

    def save(number: int, frame: FrameType | None) -> None:
        (run / "checkpoints" / "step-0000050").mkdir(parents=True)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, save)
    time.sleep(600)
    return 1


def evaluate() -> int:
    """A report of one line, or the error of a model that is not there."""
    if sys.argv[2] == "no-such-model":
        print("error: nothing of that name", flush=True)
        return 2
    Path(value("--report")).write_text("<h1>50 samples</h1>", encoding="utf-8")
    return 0


sys.exit({"train": train, "evaluate": evaluate}[sys.argv[1]]())
