"""The same numbers as the implementations that the field trusts, and the pages of docs/ say so."""

from __future__ import annotations

import re

import pytest

from evaluation import (
    agreement,
    agreement_audio,
    agreement_captions,
    agreement_detection,
    agreement_molecules,
    agreement_points,
    agreement_proteins,
    agreement_series,
    agreement_tabular,
    agreement_text,
    agreement_video,
    agreement_voxels,
)
from evaluation.trusted import TOLERANCE, Row
from house.tree import ROOT
from ornstein.evaluation.modalities import MODALITIES
from ornstein.evaluation.registry import METRICS

PAGES = {
    "metrics.md": (agreement.ROWS, METRICS),
    "metrics/series.md": (agreement_series.ROWS, MODALITIES["series"].metrics),
    "metrics/tables.md": (agreement_tabular.ROWS, MODALITIES["tables"].metrics),
    "metrics/detection.md": (agreement_detection.ROWS, MODALITIES["detection"].metrics),
    "metrics/text.md": (agreement_text.ROWS, MODALITIES["text"].metrics),
    "metrics/audio.md": (agreement_audio.ROWS, MODALITIES["audio"].metrics),
    "metrics/video.md": (agreement_video.ROWS, MODALITIES["video"].metrics),
    "metrics/points.md": (agreement_points.ROWS, MODALITIES["points"].metrics),
    "metrics/voxels.md": (agreement_voxels.ROWS, MODALITIES["voxels"].metrics),
    "metrics/molecules.md": (agreement_molecules.ROWS, MODALITIES["molecules"].metrics),
    "metrics/captions.md": (agreement_captions.ROWS, MODALITIES["captions"].metrics),
    "metrics/proteins.md": (agreement_proteins.ROWS, MODALITIES["proteins"].metrics),
}
ROWS = [row for rows, _ in PAGES.values() for row in rows]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.metric}-{r.trusted.split()[0]}")
def test_agreement(row: Row) -> None:
    assert row.difference() < TOLERANCE


@pytest.mark.parametrize("name", PAGES)
def test_the_page_lists_every_agreement(name: str) -> None:
    """``tools/metrics_page.py`` writes the table; its differences are bounds, checked above."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    table = page.split("<!-- agreement -->")[1]
    listed = re.findall(r"^\| (.+?) \| (.+?) \| < (\S+) \|$", table, re.MULTILINE)
    assert [(metric, trusted) for metric, trusted, _ in listed] == [(r.metric, r.trusted) for r in PAGES[name][0]]
    assert all(float(bound) <= TOLERANCE for _, _, bound in listed)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_lists_every_metric(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    table = page.split("<!-- metrics -->")[1]
    for metric, row in PAGES[name][1].items():
        assert f"| `{metric}` | {row.about} |" in table, f"docs/{name}: run tools/metrics_page.py ({metric})"
