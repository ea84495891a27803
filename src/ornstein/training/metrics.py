"""Metrics of a run: JSON lines always, TensorBoard where it is installed."""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from ornstein.training.checkpoint import write_text

FILE = "metrics.jsonl"


class MetricsWarning(UserWarning):
    """A record of the metrics could not be written; training goes on."""


def read_metrics(run: Path) -> list[dict[str, float]]:
    """The records of a run, oldest first; a line that a killed process left half-written is passed over."""
    path = run / FILE
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
            record["step"] + 0
        except (ValueError, TypeError, KeyError):
            continue
        records.append(record)
    return records


class Metrics:
    """Appends one JSON object per record to ``metrics.jsonl`` and mirrors its scalars to TensorBoard."""

    def __init__(self, run: Path, keep_until: int | None = None, tensorboard: bool = True):
        run.mkdir(parents=True, exist_ok=True)
        self.path = run / FILE
        if keep_until is not None and self.path.exists():
            # A resumed run repeats what came after its checkpoint: drop those records, or they would stand twice.
            kept = [r for r in read_metrics(run) if r["step"] <= keep_until]
            write_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))
        self._file: TextIO = self.path.open("a", encoding="utf-8")
        self._board: Any = None
        if tensorboard and find_spec("tensorboard") is not None:
            from torch.utils.tensorboard.writer import SummaryWriter

            purge = None if keep_until is None else keep_until + 1
            self._board = SummaryWriter(str(run / "events"), purge_step=purge)

    def write(self, step: int, values: dict[str, float]) -> None:
        """One record. A full disk costs the record, not the run."""
        try:
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self._file.flush()
        except OSError as e:
            warnings.warn(f"{self.path}: step {step} was not recorded: {e.strerror}", MetricsWarning, stacklevel=2)
            self._reopen()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def _reopen(self) -> None:
        """Forget what could not be written: a buffer that still holds it would fail at every later record and at the end."""
        with suppress(OSError):
            self._file.close()
        self._file = self.path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Flush and close both."""
        self._file.close()
        if self._board is not None:
            self._board.close()
