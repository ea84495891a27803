"""``ornstein sample``: files, provenance, counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.shell import Outcome, picture

Call = Callable[..., Outcome]


def sample(ornstein: Call, run: Path, out: Path, *words: object) -> dict[str, Any]:
    done = ornstein("sample", run, "-o", out, "--json", *words)
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


def test_files_carry_their_provenance(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    about = sample(ornstein, finished, tmp_path / "out", "-n", 3, "--steps", 2, "--seed", 7)
    names = ["000007-light.png", "000008-dark.png", "000009-light.png", "grid.png"]
    assert [Path(f).name for f in about["files"]] == names
    file = picture(tmp_path / "out" / names[1])
    written = json.loads(file.info["ornstein"])
    assert written | {"recipe": "edm", "seed": 8, "label": "dark", "steps": 2, "sampler": "edm_heun"} == written
    assert written["weights"]["hash"] == about["weights"]["hash"]
    assert "Seed: 8" in file.info["parameters"]
    assert json.loads(picture(tmp_path / "out" / "grid.png").info["ornstein"])["seeds"] == [7, 9]


def test_a_png_is_a_grid_alone(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    sample(ornstein, finished, tmp_path / "new" / "four.png", "-n", 4, "--steps", 1)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["four.png"]


@pytest.mark.parametrize(
    ("words", "evaluations"),
    [
        (["--sampler", "dpmpp_2m"], 4),
        (["--sampler", "edm_heun"], 7),  # the step to t = 0 is Euler's
        (["--sampler", "dpmpp_2m", "--guidance", 2], 8),
        (["--sampler", "DPM++ 2M Karras", "--fast"], 4),
    ],
)
def test_evaluations_are_counted(
    ornstein: Call, finished: Path, tmp_path: Path, words: list[object], evaluations: float
) -> None:
    about = sample(ornstein, finished, tmp_path, "-n", 5, "--batch", 2, "--steps", 4, *words)
    assert about["evaluations"] == evaluations


def test_text_says_what_was_done(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    done = ornstein("sample", finished, "-n", 2, "--steps", 3, "--sampler", "ddim", "--grid", "karras", "-o", tmp_path)
    assert "2 samples, ddim with 3 steps on the karras grid: 3 network evaluations each" in done.out
    assert "images/s" in done.out and str(tmp_path / "grid.png") in done.out


def test_the_batch_changes_nothing(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    for batch in (1, 5):
        sample(ornstein, finished, tmp_path / str(batch), "-n", 5, "--steps", 3, "--batch", batch)
    for name in ("000000-dark.png", "000003-light.png"):
        a, b = (np.asarray(picture(tmp_path / n / name), dtype=int) for n in ("1", "5"))
        assert abs(a - b).max() <= 1  # 1e-4 in [-1, 1] may still cross a rounding


def test_labels_by_name_and_number(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    for label in ("light", "1"):
        about = sample(ornstein, finished, tmp_path / label, "-n", 2, "--steps", 1, "--label", label)
        assert [Path(f).stem for f in about["files"][:2]] == ["000000-light", "000001-light"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-n", 0], "-n must be at least 1, got 0"),
        (["--batch", 0], "--batch must be at least 1, got 0"),
        (["--seed", -1], "--seed must lie in 0 .."),
        (["--seed", 10**20], "--seed must lie in 0 .."),
        (["--grid", "karas"], "unknown grid 'karas': did you mean 'karras'?"),
        (["--label", 2], "label 2 is out of range: 0 .. 1 (dark, light)"),
        (["--device", "quantum"], "device 'quantum' cannot be used here"),
    ],
)
def test_wrong_numbers_and_names(
    ornstein: Call, finished: Path, tmp_path: Path, words: list[object], message: str
) -> None:
    done = ornstein("sample", finished, "-o", tmp_path, *words)
    assert done.code == 2
    assert message in done.err
