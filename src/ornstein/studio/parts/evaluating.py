"""An evaluation as a command, and its report as a part of the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ornstein.core.errors import UsageError
from ornstein.studio.html import empty, escape


@dataclass(frozen=True)
class Evaluation:
    """The fields of the page."""

    what: str
    against: str
    n: int = 500
    split: str = "test"
    metrics: str = ""
    steps: int | None = None
    seed: int = 0

    def words(self, report: Path) -> list[str]:
        """The command, without ``ornstein``.

        Raises:
            UsageError: a field is missing, or no number that can be meant.
        """
        for name, value in (("what is measured", self.what), ("the data to compare with", self.against)):
            if not value or not value.strip():
                raise UsageError(f"say {name}")
        if int(self.n) < 2:
            raise UsageError(f"at least 2 samples are needed, got {self.n}")
        words = ["evaluate", self.what.strip(), "--against", self.against.strip(), "-n", str(int(self.n))]
        words += ["--seed", str(int(self.seed)), "--report", str(report)]
        if self.split.strip():
            words += ["--split", self.split.strip()]
        if self.metrics.strip():
            words += ["--metrics", self.metrics.replace(" ", "")]
        if self.steps:
            words += ["--steps", str(int(self.steps))]
        return words


def shown(report: Path) -> str:
    """The report in a frame of its own; it holds its pictures, so nothing else is asked for."""
    if not report.is_file():
        return empty("the report will stand here: figures with their protocol, samples, neighbours, curves")
    text = report.read_text(encoding="utf-8")
    return f"<iframe class='o-report' title='evaluation report' sandbox='allow-same-origin' srcdoc=\"{escape(text)}\"></iframe>"
