"""``ornstein evaluate``: what may be measured, and the record of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli.shell import Outcome

Call = Callable[..., Outcome]


def measured(done: Outcome) -> dict[str, Any]:
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


def test_a_run_against_its_data(ornstein: Call, finished: Path, squares: Path, tmp_path: Path) -> None:
    words = ("evaluate", finished, "--against", squares, "-n", 20, "--steps", 2, "-o", tmp_path / "new" / "s.json")
    done = ornstein(*words)
    assert done.code == 0, done.err
    assert "METRIC" in done.out and "lower is better" in done.out and "protocol: samples 20" in done.out
    record = json.loads((tmp_path / "new" / "s.json").read_text())
    assert {"fd", "kid", "precision", "recall", "density", "coverage"} == set(record["values"])
    wanted = {"samples": 20, "reference": 20, "split": "train", "steps": 2, "seed": 0, "evaluations": 3.0}
    assert record["protocol"] | wanted == record["protocol"]
    assert record["protocol"]["weights"]["step"] == 3


def test_data_against_itself_is_at_no_distance(ornstein: Call, squares: Path) -> None:
    values = measured(ornstein("evaluate", squares, "--against", squares, "--json"))["values"]
    assert abs(values["fd"]) < 1e-3
    assert values["coverage"] == 1


def test_a_folder_of_samples_is_read_at_its_own_size_and_without_its_grid(
    ornstein: Call, squares: Path, tmp_path: Path
) -> None:
    x = np.load(squares)["x"]
    for i, picture in enumerate(x):
        Image.fromarray(picture[0]).save(tmp_path / f"{i:06d}.png")
    Image.new("L", (50, 50)).save(tmp_path / "grid.png")
    report = measured(ornstein("evaluate", tmp_path, "--against", squares, "--json"))
    assert report["protocol"]["samples"] == len(x)
    assert abs(report["values"]["fd"]) < 1e-3


def test_digits_are_measured_by_their_classifier(ornstein: Call) -> None:
    words = ("evaluate", "digits", "--against", "digits", "-n", 100, "--metrics", "kid,label_agreement", "--json")
    report = measured(ornstein(*words))
    assert report["protocol"]["extractor"] == "digits classifier"
    assert report["protocol"]["split"] == "test"
    assert report["values"]["label_agreement"] > 0.95


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--metrics", "fid"], 2, "unknown metric 'fid': did you mean 'fd'?"),
        (["--metrics", ","], 2, "--metrics names none"),
        (["--metrics", "nearest"], 2, "nearest compares test images with training images"),
        (["--metrics", "label_agreement"], 1, "label_agreement needs a classifier of the samples' classes"),
        (["--split", "test"], 1, "has no split 'test'"),
        (["--steps", "0"], 2, "--steps must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_sampling(
    ornstein: Call,
    finished: Path,
    squares: Path,
    words: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ornstein.recipes.system.System.sample", lambda *a: pytest.fail("sampled first"))
    done = ornstein("evaluate", finished, "--against", squares, *words)
    assert done.code == code
    assert message in done.err


def test_an_unknown_name_suggests(ornstein: Call) -> None:
    done = ornstein("evaluate", "digts", "--against", "digits")
    assert done.code == 2
    assert "'digts' is no bundled model, no data set and no path here: did you mean 'digits'?" in done.err


def test_other_channels_are_refused(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "colour.npy", np.zeros((10, 3, 8, 8), np.uint8))
    done = ornstein("evaluate", finished, "--against", tmp_path / "colour.npy")
    assert done.code == 1
    assert "has 3 channels, asked for 1" in done.err
