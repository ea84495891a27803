"""Did the gradient explode?"""

from __future__ import annotations

import math
import warnings
from collections import deque
from pathlib import Path
from statistics import median
from typing import final

from ornstein.core.finding import Finding, ok, warning
from ornstein.training.callbacks import Callback
from ornstein.training.metrics import read_metrics
from ornstein.training.progress import Progress

FACTOR = 100.0
"""Times the usual norm: three times are common where losses are drawn at random noise levels, a hundred are not."""
RECORDS = 5
"""Before this many there is no usual."""
REMEDY = "lower lr, lower clip, or lengthen warmup; look for outliers in the data (ornstein doctor DATA)"


class GradientWarning(UserWarning):
    """A gradient far beyond the usual."""


def check(run: Path) -> Finding:
    """The largest norm of each record against the median of those before it."""
    before: list[float] = []
    for record in read_metrics(run):
        norms = [v for k, v in record.items() if k.startswith("grad_norm_max")]
        if not norms:
            continue
        usual = median(before) if len(before) >= RECORDS else math.inf
        if max(norms) > FACTOR * usual:
            return warning(
                "gradient norm",
                f"exploded by step {record['step']}: {max(norms):.3g}, where {usual:.3g} was usual",
                REMEDY,
            )
        before.append(max(norms))
    return ok("gradient norm", f"no more than {FACTOR:g} times the usual in {len(before)} records")


@final
class Watch(Callback):
    """Says it while it happens: once, at the first norm beyond :data:`FACTOR` times the median of the last 64 steps."""

    def __init__(self) -> None:
        self._recent = deque[float](maxlen=64)
        self.said = False

    def on_step(self, progress: Progress) -> str | None:
        norm = progress.grad_norm
        if not self.said and len(self._recent) == self._recent.maxlen and norm > FACTOR * median(self._recent) > 0:
            self.said = True
            warnings.warn(
                f"the gradient's norm exploded at step {progress.step} of stage '{progress.stage}': {norm:.3g}, where "
                f"{median(self._recent):.3g} was usual. {REMEDY[0].upper()}{REMEDY[1:]}",
                GradientWarning,
                stacklevel=2,
            )
        if math.isfinite(norm):
            self._recent.append(norm)
        return None
