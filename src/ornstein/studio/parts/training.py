"""A run as it goes: its words for the command line, its curves, its strips, what the doctor says of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ornstein.core.errors import UsageError
from ornstein.core.finding import Finding
from ornstein.data.sources import SOURCES
from ornstein.recipes import registry
from ornstein.studio.charts import NARROW, Curve, chart
from ornstein.studio.html import empty, escape, notice, table
from ornstein.training import doctor
from ornstein.training.meters import BINS

DRAWN = 400
"""Points of a curve; more are thinned out."""


def recipes() -> list[str]:
    """What can be trained."""
    return sorted(registry.cards())


def sets() -> list[str]:
    """The data that are known by name."""
    return sorted(SOURCES)


@dataclass(frozen=True)
class Plan:
    """The fields of the page."""

    recipe: str
    data: str
    out: str
    minutes: float = 5.0
    size: int | None = None
    settings: str = ""
    seed: int = 0

    def words(self) -> list[str]:
        """The command, without ``ornstein``; a run that lies there is gone on with.

        Raises:
            UsageError: a field is missing or no number, a setting is no ``field=value``, no such recipe.
        """
        registry.card(self.recipe)
        if not self.data.strip():
            raise UsageError("name the data: a set (digits), or a folder of images")
        if not self.out.strip():
            raise UsageError("say where the run is to be kept: a folder")
        if float(self.minutes) <= 0:
            raise UsageError(f"minutes must be positive, got {self.minutes:g}")
        words = ["train", self.recipe, "--data", self.data.strip(), "--out", self.out.strip()]
        words += ["--minutes", f"{float(self.minutes):g}", "--seed", str(int(self.seed))]
        if self.size:
            words += ["--size", str(int(self.size))]
        for pair in shlex.split(self.settings.replace("\n", " ")):
            if "=" not in pair:
                raise UsageError(f"settings are field=value with spaces between them, got '{pair}'")
            words += ["--set", pair]
        if (Path(self.out.strip()) / "checkpoints").is_dir():
            words.append("--resume")
        return words


@dataclass(frozen=True)
class State:
    """What lies in a run's folder."""

    records: list[dict[str, Any]] = field(default_factory=list)
    strips: list[Path] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def step(self) -> int:
        """The last that was recorded."""
        return int(self.records[-1].get("step", 0)) if self.records else 0


def look(run: Path, examine: bool = True) -> State:
    """A run's records and strips; with ``examine`` also what the doctor finds in its files."""
    file = run / "metrics.jsonl"
    records = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            records.append(json.loads(line))
        except ValueError:  # a line that is being written
            continue
    strips = sorted((run / "samples").glob("*.png")) if (run / "samples").is_dir() else []
    findings = list(doctor.examine(run)) if examine and records and (run / "checkpoints").is_dir() else []
    return State(records, strips, findings)


def loss_curve(state: State) -> str:
    """Loss against steps."""
    points = _thin([(float(r["step"]), float(r["loss"])) for r in state.records if "loss" in r and "step" in r])
    return (
        chart([Curve("", points)], x_label="step", y_label="loss", width=NARROW)
        if points
        else empty("the loss will stand here")
    )


def level_curve(state: State) -> str:
    """The latest loss at each noise level, beside that of the middle of the run."""
    found = [r for r in state.records if any(k.startswith("loss/level_") for k in r)]
    if not found:
        return empty("the loss by noise level will stand here")
    names = {"now": found[-1]} if len(found) == 1 else {"now": found[-1], "half way": found[len(found) // 2]}
    curves = [
        Curve(name, [((b + 0.5) / BINS, r[f"loss/level_{b}"]) for b in range(BINS) if f"loss/level_{b}" in r])
        for name, r in names.items()
    ]
    return chart(curves, x_label="noise level (0 data, 1 noise)", y_label="loss", width=NARROW)


def doctor_word(findings: Sequence[Finding]) -> str:
    """What the doctor says."""
    if not findings:
        return empty("the doctor looks at a run once it has a checkpoint")
    bad = [f for f in findings if not f.good]
    head = notice(
        f"{len(findings)} checks, {len(bad)} with something to say"
        if bad
        else f"{len(findings)} checks, nothing found",
        "warning" if bad else "good",
    )
    rows = [
        (f"<b class='o-{'good' if f.good else 'bad' if f.level == 'error' else 'warning'}'>{escape(f.level)}</b>",
         escape(f.check), escape(f.what + (f" {f.remedy}" if f.remedy else "")))
        for f in findings
    ]  # fmt: skip
    return head + table(("", "check", "found"), rows, raw=True)


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most 400 of them, the first and the last among them."""
    if len(points) <= DRAWN:
        return points
    step = (len(points) - 1) / (DRAWN - 1)
    return [points[round(i * step)] for i in range(DRAWN)]
