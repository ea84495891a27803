"""The same numbers as the implementations that the field trusts, and ``docs/metrics.md`` says so."""

from __future__ import annotations

import re

import pytest

from evaluation.agreement import ROWS, TOLERANCE, Row
from house.tree import ROOT
from ornstein.evaluation.registry import METRICS


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.metric}-{r.trusted.split()[0]}")
def test_agreement(row: Row) -> None:
    assert row.difference() < TOLERANCE


def test_the_page_lists_every_agreement() -> None:
    """``tools/metrics_page.py`` writes the table; its differences are bounds, checked above."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = page.split("<!-- agreement -->")[1]
    listed = re.findall(r"^\| (.+?) \| (.+?) \| < (\S+) \|$", table, re.MULTILINE)
    assert [(metric, trusted) for metric, trusted, _ in listed] == [(r.metric, r.trusted) for r in ROWS]
    assert all(float(bound) <= TOLERANCE for _, _, bound in listed)


def test_the_page_lists_every_metric() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = page.split("<!-- metrics -->")[1]
    for name, metric in METRICS.items():
        assert f"| `{name}` | {metric.about} |" in table, f"docs/metrics.md: run tools/metrics_page.py ({name})"
