"""``ornstein demo`` in small: four parts, gone on with, done anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cli.shell import Outcome, picture
from ornstein.cli.commands import demo
from ornstein.data import Images
from ornstein.recipes import house, saved

Call = Callable[..., Outcome]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Little training, few samples, and an untrained model of ten classes in place of the bundled one."""
    monkeypatch.setattr(demo, "TRAINING", {"widths": "64", "blocks": "1", "patch": "4", "batch": "16"})
    monkeypatch.setattr(demo, "MEASURED", 20)
    monkeypatch.setattr(demo, "NEIGHBOURS", 50)
    x = np.random.default_rng(0).integers(0, 255, (10, 1, 8, 8), dtype=np.uint8)
    clothes = Images(x, np.arange(10), tuple(f"piece {i}" for i in range(10)))
    system = house.build("edm", data=clothes, settings={"widths": (64,), "blocks": 1})
    saved.export(system, tmp_path / "weights" / "fashion-mnist")
    monkeypatch.setattr(saved, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "demo"


def test_the_demo(ornstein: Call, small: Path) -> None:
    done = ornstein("demo", "--out", small, "--minutes", 0.02, "--json")
    assert done.code == 0, done.err
    about = json.loads(done.out)
    assert all(Path(p).is_file() for p in [*about["pictures"], about["report"]])
    grid = picture(small / "fashion-mnist.png")
    assert grid.width > grid.height + 40  # ten by ten, and the names beside it
    assert json.loads(grid.info["ornstein"])["recipe"] == "edm"
    page = (small / "report.html").read_text()
    assert (
        page.count("<img") >= 3 and "nearest_to_train" in page and "://" not in page
    )  # inlined pictures never hold a colon
    assert set(about["scores"]) == {"model", "real digits", "noise", "protocol"}
    assert about["scores"]["model"]["fd"] > about["scores"]["real digits"]["fd"] > 0
    step = json.loads((small / "training.json").read_text())["steps"]

    again = ornstein("demo", "--out", small, "--minutes", 0.02)
    assert again.code == 0
    assert again.err.count("is there already") == 3
    assert "next:" in again.out and "ornstein list" in again.out and str(small / "report.html") in again.out
    assert json.loads((small / "training.json").read_text())["steps"] == step

    (small / "letter.txt").write_text("mine")
    anew = ornstein("demo", "--out", small, "--minutes", 0.02, "--again")
    assert anew.code == 0, anew.err
    assert "is there already" not in anew.err
    assert (small / "letter.txt").read_text() == "mine"  # what the demo did not make stays


def test_missing_weights_are_named_and_the_rest_goes_on(ornstein: Call, small: Path) -> None:
    (saved.WEIGHTS / "fashion-mnist" / "manifest.json").unlink()
    done = ornstein("demo", "--out", small, "--minutes", 0.02)
    assert done.code == 1
    assert f"the weights of the bundled model are missing: no model in {saved.WEIGHTS / 'fashion-mnist'}" in done.err
    assert (small / "report.html").is_file() and (small / "digits.png").is_file()
