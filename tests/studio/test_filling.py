"""Series in the studio: gaps of a table that a model fills, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import ornstein
from ornstein.core.errors import CapabilityError, DataError
from ornstein.studio.core import Studio
from ornstein.studio.parts.filling import drawn
from ornstein.studio.parts.models import facts_of
from ornstein.studio.views.series import plots
from ornstein.studio.words import FILLS

SMALL = {"window": 12, "width": 8, "layers": 1, "hidden": 8, "batch": 4, "steps": 2, "precision": "fp32"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour's values in a column, with a gap of five."""
    path = tmp_path_factory.mktemp("series") / "air.csv"
    values = np.sin(np.arange(40) / 4)
    cells = ["" if 20 <= i < 25 else f"{v:.4f}" for i, v in enumerate(values)]
    rows = [f"2014-01-{1 + i // 24:02d} {i % 24:02d}:00,{cell}" for i, cell in enumerate(cells)]
    path.write_text("\n".join(["time,pm2.5", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(studio: Studio, table: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    run = tmp_path_factory.mktemp("runs") / "air"
    ornstein.train("csdi", data=table, out=run, settings=SMALL)
    return str(run)


def test_gaps_are_filled(studio: Studio, model: str, table: Path) -> None:
    (record,) = drawn(studio, model, table, FILLS[0], 6, 2, 0)
    assert record.x.shape == (6, 40, 1) and tuple(record.channels) == ("pm2.5",)
    assert record.known is not None
    gap = record.known[:, 0].isnan()
    assert gap.nonzero().flatten().tolist() == [20, 21, 22, 23, 24]
    assert float(record.x[:, gap, 0].std(0).min()) > 0
    assert torch.allclose(record.x[:, ~gap, 0], record.known[~gap, 0].expand(6, -1), atol=1e-5)
    assert plots(record).count("<polygon") == 2
    facts = facts_of(studio.system(model))
    assert facts.view == "series" and facts.shape == (1, 12)


def test_what_does_not_fit_is_refused(studio: Studio, model: str, table: Path, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="trained to fill gaps"):
        drawn(studio, model, table, FILLS[1], 2, 2, 0)
    with pytest.raises(CapabilityError, match="choose a model of series"):
        drawn(studio, str(tiny), table, FILLS[0], 2, 2, 0)
    with pytest.raises(DataError, match="a table"):
        drawn(studio, model, tmp_path / "notes.txt", FILLS[0], 2, 2, 0)
