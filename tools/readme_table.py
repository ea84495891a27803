"""Write the table of recipes, from the ledger, between the markers of both READMEs.

    python tools/readme_table.py [--check]

``--check`` writes nothing and fails where a table is not current.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ornstein.recipes import ledger
from ornstein.recipes.registry import cards

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- recipes: made by `python tools/readme_table.py` -->", "<!-- end of recipes -->"


def table() -> str:
    """One row per recipe: name, paper, what was measured and whether it holds."""
    rows = {r.recipe: r for r in ledger.rows(ledger.SHIPPED)}
    lines = ["| recipe | paper | claim, checked at small scale | seeds | holds |", "| --- | --- | --- | --- | --- |"]
    for name, card in sorted(cards().items()):
        row = rows.get(name)
        measured, seeds, holds = (
            (card.claim, "", "not measured")
            if row is None
            else (card.claim, str(len(row.seeds)), "yes" if row.holds else "no")
        )
        lines.append(f"| `{name}` | {card.title} | {measured} | {seeds} | {holds} |")
    return "\n".join(lines)


def with_table(text: str) -> str:
    """The README with the current table."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + "\n" + table() + "\n" + END + rest.split(END)[1]


def main() -> int:
    """Write or check both files."""
    stale = []
    for name in ("README.md", "README.zh.md"):
        path = ROOT / name
        old = path.read_text(encoding="utf-8")
        new = with_table(old)
        if new != old:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"not current: {', '.join(stale)}; run python tools/readme_table.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
