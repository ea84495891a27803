"""What may watch a run, and end it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import final

from ornstein.core.errors import UsageError
from ornstein.training.progress import Progress


class Callback:
    """Called by the engine; every method does nothing by default. A string from :meth:`on_step` ends the run."""

    def on_start(self, step: int, seen: int) -> None:
        """Before the first step of this process: where the run stands."""

    def on_step(self, progress: Progress) -> str | None:
        """After each step. A string is the reason to stop: the run is saved and ends."""
        return None

    def on_record(self, step: int, values: Mapping[str, float]) -> None:
        """After a record was written to the metrics."""

    def on_save(self, step: int) -> None:
        """After a checkpoint was written, the averaged weights in place."""


@final
class Losses(Callback):
    """Keeps the loss of every step of this process in memory."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_step(self, progress: Progress) -> str | None:
        self.values.append(progress.loss)
        return None


@final
class Patience(Callback):
    """Ends the run when for ``patience`` steps the mean loss of ``window`` steps has not fallen by a part ``least``."""

    def __init__(self, patience: int, window: int = 100, least: float = 1e-3):
        if patience < 1 or window < 1:
            raise UsageError(f"patience and window must be at least 1, got {patience} and {window}")
        self.patience, self.least, self._recent = patience, least, deque[float](maxlen=window)
        self._best, self._since = math.inf, 0

    def on_step(self, progress: Progress) -> str | None:
        self._recent.append(progress.loss)
        if len(self._recent) < (self._recent.maxlen or 1):
            return None
        mean = sum(self._recent) / len(self._recent)
        if self._best == math.inf or mean < self._best - self.least * abs(self._best):
            self._best, self._since = mean, 0
        else:
            self._since += 1
        return "no progress" if self._since >= self.patience else None
