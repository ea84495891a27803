"""Tables of benchmarks in the pages of the documentation, between two equal marks."""

from __future__ import annotations

from pathlib import Path


def show_table(page: Path, name: str, table: str) -> None:
    """Put a table in the place of the former one, between two lines ``<!-- name -->``.

    Raises:
        SystemExit: the page has no such place.
    """
    mark = f"<!-- {name} -->\n"
    parts = page.read_text(encoding="utf-8").split(mark)
    if len(parts) != 3:
        raise SystemExit(f"{page} must have two lines '{mark.strip()}' around the table; it has {len(parts) - 1}")
    page.write_text(f"{parts[0]}{mark}{table.strip()}\n{mark}{parts[2]}", encoding="utf-8")
