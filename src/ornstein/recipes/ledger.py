"""The ledger: one JSON file per recipe, saying what was claimed and what was measured; ``docs/results.md`` is made of it.

``python -m ornstein.recipes.ledger`` in a checkout makes the page anew.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ornstein.core.errors import DataError, OrnsteinError
from ornstein.recipes.bundled import Bundled, bundled
from ornstein.recipes.check import Condition, Measured, mean

PAGE = Path("docs") / "results.md"
SHIPPED = Path(__file__).parent.parent / "results"
"""The ledger as it came with the package."""


@dataclass(frozen=True)
class Verdict:
    """One condition as it was judged."""

    text: str
    reason: str
    on: str
    holds: bool
    measured: list[float]
    """the left side, per seed"""
    bound: list[float]
    """the right side, per seed"""


@dataclass(frozen=True)
class Row:
    """What is kept of one reproduction."""

    recipe: str
    title: str
    paper: str
    paper_claim: str
    claim: str
    holds: bool
    conditions: list[Verdict]
    seeds: list[int]
    measured: list[dict[str, float]]
    """every figure, per seed"""
    seconds: float
    machine: str
    torch: str
    code: str
    """hash of the code that was measured, :func:`ornstein.recipes.fingerprint.code_hash`"""
    processor_seconds: float | None = None
    """time of all cores together, which other work on the machine hardly changes; None: measured before it was kept"""
    memory_mib: float | None = None
    """the most that the process held; None: not known on this system"""

    def __str__(self) -> str:
        return "\n".join([self.title, f"paper: {self.paper_claim}", self.figures()])

    def figures(self) -> str:
        """The claim as it was tested here, and each condition's figures."""
        lines = [f"here:  {self.claim}", ""]
        for c in self.conditions:
            shown = "  ".join(f"{m:.4g} | {b:.4g}" for m, b in zip(c.measured, c.bound, strict=True))
            lines.append(f"{'holds ' if c.holds else 'FAILS '} {c.text}    measured | bound per seed: {shown}")
        lines += [
            "",
            f"{'holds' if self.holds else 'DOES NOT HOLD'} over {len(self.seeds)} seeds, {self.seconds:g} s"
            + (f" ({self.processor_seconds:g} of a processor)" if self.processor_seconds is not None else "")
            + (f", {self.memory_mib:.0f} MiB" if self.memory_mib is not None else "")
            + f", {self.machine}",
        ]
        return "\n".join(lines)


def judge(conditions: Sequence[Condition], measured: Sequence[Measured]) -> list[Verdict]:
    """Each condition with both its sides on every seed."""
    return [
        Verdict(
            str(c),
            c.reason,
            c.on,
            c.holds(measured),
            [row[c.left] for row in measured],
            [c.bound(row) for row in measured],
        )
        for c in conditions
    ]


def write(row: Row, folder: Path) -> Path:
    """Write a row, to the side first and renamed into place."""
    path = folder / f"{row.recipe}.json"
    beside = path.with_suffix(".tmp")
    try:
        beside.write_text(json.dumps(dataclasses.asdict(row), indent=1) + "\n", encoding="utf-8")
        os.replace(beside, path)
    except OSError as e:
        raise OrnsteinError(f"cannot write {path}: {e}. Choose another --out") from e
    return path


def read(path: Path) -> Row:
    """One row.

    Raises:
        DataError: the file is no row of this form; run the reproduction again.
    """
    try:
        entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        entries["conditions"] = [Verdict(**c) for c in entries["conditions"]]
        return Row(**entries)
    except (ValueError, KeyError, TypeError) as e:
        raise DataError(f"{path} is no row of the ledger ({e}); make it with `ornstein reproduce {path.stem}`") from e


def rows(folder: Path) -> list[Row]:
    """All rows of a ledger, by name."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


def page(ledger: Sequence[Row], models: Sequence[Bundled] = (), recipes: Sequence[str] = ()) -> str:
    """The ledger, and where the bundled weights come from, as Markdown; ``recipes`` without a row are named as such."""
    out = [
        "# Results",
        "",
        "What each recipe's paper claims, and the same claim tested here at small scale. This page is generated from "
        "`src/ornstein/results/*.json` by `python -m ornstein.recipes.ledger`; the files are written by "
        "`ornstein reproduce NAME` only.",
        "",
        "Processor seconds are those of all cores together: a core that does nothing else takes as long. Seconds are "
        "those of the clock, on a machine that did other work beside it.",
        "",
        "| recipe | holds | seeds | processor seconds | seconds | memory, MiB | machine |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in ledger:
        verdict = "yes" if row.holds else "**no**"
        out.append(
            f"| [{row.recipe}](#{row.recipe}) | {verdict} | {len(row.seeds)} | {_whole(row.processor_seconds)} "
            f"| {row.seconds:.0f} | {_whole(row.memory_mib)} | {row.machine} |"
        )
    if missing := sorted(set(recipes) - {row.recipe for row in ledger}):
        out += ["", f"Not measured yet: {', '.join(f'`{name}`' for name in missing)}."]
    for row in ledger:
        out += ["", f"## {row.recipe}", "", f"{row.title}, {row.paper}.", ""]
        out += [f"- **Published.** {_sentence(row.paper_claim)}", f"- **Claimed here.** {_sentence(row.claim)}", ""]
        out += [
            "| must hold | measured (per seed) | bound (per seed) | holds | why this number |",
            "| --- | --- | --- | --- | --- |",
        ]
        for c in row.conditions:
            text = f"`{c.text}`" + (" on the mean" if c.on == "mean" else "")
            bound = _figures(c.bound) if len(set(c.bound)) > 1 else f"{c.bound[0]:.4g}"
            out.append(
                f"| {text} | {_figures(c.measured)} | {bound} | {'yes' if c.holds else '**no**'} | {_sentence(c.reason)} |"
            )
        averages = ", ".join(f"{name} {value:.4g}" for name, value in mean(row.measured).items())
        out += ["", f"Means over the seeds: {averages}."]
        out += ["", f"Code `{row.code}`, torch {row.torch}."]
    if models:
        out += ["", "## Bundled weights"]
        for model in models:
            out += ["", *model.page()]
    return "\n".join(out) + "\n"


def _figures(values: Sequence[float]) -> str:
    return ", ".join(f"{v:.4g}" for v in values)


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _sentence(text: str) -> str:
    return (text[0].upper() + text[1:]).rstrip(".").replace("|", "\\|") + "."


def main() -> None:
    """Write ``docs/results.md`` of the checkout around the current directory."""
    from ornstein.recipes.reproduce import check_names, results_folder

    folder = results_folder()
    path = folder.parents[2] / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(rows(folder), bundled(), check_names()), encoding="utf-8")
    print(f"{path}: {len(rows(folder))} rows")


if __name__ == "__main__":
    main()
