"""Write the tables of docs/metrics.md and docs/metrics/: the metrics that exist, and their agreement with trusted ones.

    python tools/metrics_page.py            # all pages
    python tools/metrics_page.py text       # one: images, series, tables, detection, text, audio, ...

The first table is the registry's; the second runs every comparison of tests/evaluation/agreement*.py and states the power of
ten that bounds the largest relative difference. The text around the tables is kept.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = {
    "images": (DOCS / "metrics.md", "agreement"),
    "series": (DOCS / "metrics" / "series.md", "agreement_series"),
    "tables": (DOCS / "metrics" / "tables.md", "agreement_tabular"),
    "detection": (DOCS / "metrics" / "detection.md", "agreement_detection"),
    "text": (DOCS / "metrics" / "text.md", "agreement_text"),
    "audio": (DOCS / "metrics" / "audio.md", "agreement_audio"),
    "video": (DOCS / "metrics" / "video.md", "agreement_video"),
    "points": (DOCS / "metrics" / "points.md", "agreement_points"),
    "voxels": (DOCS / "metrics" / "voxels.md", "agreement_voxels"),
    "molecules": (DOCS / "metrics" / "molecules.md", "agreement_molecules"),
    "captions": (DOCS / "metrics" / "captions.md", "agreement_captions"),
    "proteins": (DOCS / "metrics" / "proteins.md", "agreement_proteins"),
}


def metrics_of(kind: str) -> Mapping[str, Any]:
    """The table of a kind of samples."""
    from ornstein.evaluation.modalities import MODALITIES
    from ornstein.evaluation.registry import METRICS

    return METRICS if kind == "images" else MODALITIES[kind].metrics


def metrics(kind: str) -> str:
    """Name, what it says, what it needs, its values and their direction."""
    arrows = {"lower": " ↓", "higher": " ↑", "": ""}
    lines = ["| metric | what it says | needs | values |", "| --- | --- | --- | --- |"]
    for m in metrics_of(kind).values():
        needs = ", ".join(sorted(m.needs - {"reference"})) + ("" if "reference" in m.needs else " (no reference)")
        values = ", ".join(f"`{value}`{arrows[better]}" for value, better in m.gives.items())
        lines.append(f"| `{m.name}` | {m.about} | {needs.strip()} | {values} |")
    return "\n".join(lines)


def agreement(module: str) -> str:
    """Metric, trusted implementation, bound of the difference."""
    lines = ["| metric | trusted implementation | relative difference |", "| --- | --- | --- |"]
    for row in import_module(f"evaluation.{module}").ROWS:
        found = max(row.difference(), 1e-13)  # below that, it is the machine's
        lines.append(f"| {row.metric} | {row.trusted} | < 1e{math.floor(math.log10(found)) + 1} |")
    return "\n".join(lines)


def write(kind: str) -> None:
    """One page."""
    page, module = PAGES[kind]
    text = page.read_text(encoding="utf-8")
    for name, table in (("metrics", metrics(kind)), ("agreement", agreement(module))):
        mark = f"<!-- {name} -->"
        text = re.sub(rf"{mark}.*?{mark}", lambda _, m=mark, t=table: f"{m}\n{t}\n{m}", text, flags=re.DOTALL)  # type: ignore[misc]
    page.write_text(text, encoding="utf-8")
    print(page)


def main() -> None:
    sys.path[:0] = [str(ROOT / "tests")]
    for kind in sys.argv[1:] or PAGES:
        if kind not in PAGES:
            sys.exit(f"no page for '{kind}'; there are {', '.join(PAGES)}")
        write(kind)


if __name__ == "__main__":
    main()
