"""Write the two tables of docs/metrics.md: the metrics that exist, and their agreement with trusted implementations.

    python tools/metrics_page.py

The first is the registry's; the second runs every comparison of tests/evaluation/agreement.py and states the power of ten
that bounds the largest relative difference. The text around the tables is kept.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "metrics.md"


def metrics() -> str:
    """Name, what it says, what it needs, its values and their direction."""
    from ornstein.evaluation.registry import METRICS

    arrows = {"lower": " ↓", "higher": " ↑", "": ""}
    lines = ["| metric | what it says | needs | values |", "| --- | --- | --- | --- |"]
    for m in METRICS.values():
        needs = ", ".join(sorted(m.needs - {"reference"})) + ("" if "reference" in m.needs else " (no reference)")
        values = ", ".join(f"`{value}`{arrows[better]}" for value, better in m.gives.items())
        lines.append(f"| `{m.name}` | {m.about} | {needs.strip()} | {values} |")
    return "\n".join(lines)


def agreement() -> str:
    """Metric, trusted implementation, bound of the difference."""
    sys.path[:0] = [str(ROOT / "tests")]
    from evaluation.agreement import ROWS

    lines = ["| metric | trusted implementation | relative difference |", "| --- | --- | --- |"]
    for row in ROWS:
        found = max(row.difference(), 1e-13)  # below that, it is the machine's
        lines.append(f"| {row.metric} | {row.trusted} | < 1e{math.floor(math.log10(found)) + 1} |")
    return "\n".join(lines)


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("metrics", metrics()), ("agreement", agreement())):
        mark = f"<!-- {name} -->"
        text = re.sub(rf"{mark}.*?{mark}", lambda _, m=mark, t=table: f"{m}\n{t}\n{m}", text, flags=re.DOTALL)  # type: ignore[misc]
    PAGE.write_text(text, encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
