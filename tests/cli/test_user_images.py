"""A user's own pictures of every kind, from the first command to the last."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.shell import SMALL, Outcome, picture

Call = Callable[..., Outcome]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Pictures of all modes, sizes and formats in two class folders, one beside them turned by its EXIF tag."""
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.integers(0, 255, shape, dtype=np.uint8)

    colour = Image.fromarray(noise(40, 30, 3))
    deep = Image.fromarray(rng.integers(0, 65535, (21, 33)).astype(np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in ("cats", "dogs"):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        colour.save(folder / "colour.jpg")
        colour.save(folder / "turned.jpg", exif=turned)
        colour.convert("P").save(folder / "palette.png")
        colour.convert("CMYK").save(folder / "print.jpeg")
        Image.fromarray(noise(9, 64)).save(folder / "grey.png")
        Image.fromarray(noise(50, 50, 4), "RGBA").save(folder / "alpha.PNG")
        Image.fromarray(noise(12, 12, 2), "LA").save(folder / "grey-alpha.png")
        Image.fromarray(noise(17, 19) > 128).save(folder / "bits.png")
        deep.save(folder / "deep.png")
        (folder / "notes.txt").write_text("not a picture")
    return tmp_path / "photos"


@pytest.mark.parametrize("recipe", ["ddpm", "edm"])
def test_train_resume_sample_evaluate(ornstein: Call, mixed: Path, tmp_path: Path, recipe: str) -> None:
    run = tmp_path / "runs" / "mine"
    words = ("train", recipe, "--data", mixed, "--out", run, "--json")
    first = ornstein(*words, "--size", 16, "--steps", 2, *SMALL)
    assert first.code == 0, first.err
    more = ornstein(*words, "--steps", 4, "--resume")  # the size is the run's
    assert more.code == 0, more.err
    assert json.loads(more.out) | {"steps": 4, "images": 32} == json.loads(more.out)

    drawn = ornstein("sample", run, "-n", 7, "--steps", 3, "-o", tmp_path / "out", "--json")
    assert drawn.code == 0, drawn.err
    about = json.loads(drawn.out)
    assert about["config"] | {"size": 16, "channels": 3, "classes": ["cats", "dogs"]} == about["config"]
    assert {picture(f).size for f in about["files"][:-1]} == {(16, 16)}
    assert Path(about["files"][0]).name == "000000-cats.png"

    for what in (run, tmp_path / "out"):
        scored = ornstein("evaluate", what, "--against", mixed, "-n", 10, "--steps", 2, "--json")
        assert scored.code == 0, scored.err
        report = json.loads(scored.out)
        assert report["protocol"]["samples"] == (10 if what == run else 7)
        assert np.isfinite(list(report["values"].values())).all()
