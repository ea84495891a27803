"""Metrics of a run: JSON lines always, TensorBoard where it is installed."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

BINS = 8


class Metrics:
    """Appends one JSON object per record to ``metrics.jsonl`` and mirrors its scalars to TensorBoard."""

    def __init__(self, run: Path, keep_until: int | None = None):
        run.mkdir(parents=True, exist_ok=True)
        self.path = run / "metrics.jsonl"
        if keep_until is not None and self.path.exists():
            # A resumed run repeats what came after its checkpoint: drop those records, or they would stand twice.
            kept = [line for line in self.path.read_text().splitlines() if json.loads(line)["step"] <= keep_until]
            self.path.write_text("".join(line + "\n" for line in kept))
        self._file = self.path.open("a")
        self._board: Any = None
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard.writer import SummaryWriter

            self._board = SummaryWriter(str(run / "events"))

    def write(self, step: int, values: dict[str, float]) -> None:
        """One record."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close both."""
        self._file.close()
        if self._board is not None:
            self._board.close()


class LevelLoss:
    """Mean loss by noise level: t in [0, 1] in equal bins, between two records."""

    def __init__(self) -> None:
        self._sum, self._count = [0.0] * BINS, [0] * BINS

    def add(self, t: Tensor, loss: Tensor) -> None:
        """Per-sample times and losses of one batch."""
        where = (t.cpu() * BINS).long().clamp_(0, BINS - 1)
        for b, value in zip(where.tolist(), loss.float().cpu().tolist(), strict=True):
            self._sum[b] += value
            self._count[b] += 1

    def take(self) -> dict[str, float]:
        """The means of the bins that were hit, then start anew."""
        out = {f"loss/level_{b}": s / n for b, (s, n) in enumerate(zip(self._sum, self._count, strict=True)) if n}
        self.__init__()  # type: ignore[misc]
        return {k: v for k, v in out.items() if math.isfinite(v)}
