"""``ornstein evaluate`` on files of sound, video, points, volumes, molecules and proteins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.shell import Outcome

Call = Callable[..., Outcome]


def values(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    return dict(json.loads(outcome.out)["values"])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "audio.npz", audio=rng.normal(0, 0.1, (8, 4000)), rate=16000)
    np.savez(tmp_path / "video.npz", frames=rng.integers(0, 256, (2, 3, 1, 16, 16), dtype=np.uint8))
    np.savez(tmp_path / "points.npz", points=rng.normal(size=(8, 20, 3)))
    np.savez(tmp_path / "voxels.npz", voxels=rng.random((8, 4, 4, 4)) < 0.5)
    np.savez(tmp_path / "proteins.npz", backbone=rng.normal(size=(3, 12, 4, 3)))
    (tmp_path / "mine.smi").write_text("CCO\nOCC\nC(\nC\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "metrics", "wanted"),
    [
        ("audio.npz", "mcd,mcd_dtw,lsd", {"mcd": 0, "mcd_dtw": 0, "lsd": 0}),
        ("points.npz", "chamfer,emd,jsd", {"chamfer": 0, "emd": 0, "jsd": 0}),
        ("voxels.npz", "voxel_iou", {"voxel_iou": 1}),
        ("mine.smi", "validity,uniqueness,novelty", {"validity": 0.75, "uniqueness": 2 / 3, "novelty": 0}),
    ],
)
def test_a_set_against_itself(name: str, metrics: str, wanted: dict[str, float], ornstein: Call, files: Path) -> None:
    words = ("evaluate", files / name, "--against", files / name, "--metrics", metrics, "-o", files / "record.json")
    assert values(ornstein(*words, "--json")) == pytest.approx(wanted, abs=1e-9)
    record = json.loads((files / "record.json").read_text())
    assert record["protocol"]["reference_hash"] and set(record["values"]) == set(wanted)
    if name != "mine.smi":  # four molecules are too few for halves
        assert set(record["intervals"]) == set(wanted)


def test_endings_say_what_files_are(ornstein: Call, files: Path) -> None:
    assert (
        values(ornstein("evaluate", files / "mine.smi", "--against", files / "mine.smi", "--json"))["validity"] == 0.75
    )
    folder = files / "clouds"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.xyz").write_text("0 0 0\n1 1 1\n")
    assert values(ornstein("evaluate", folder, "--against", folder, "--json"))["mmd_cd"] == 0


def test_settings(ornstein: Call, files: Path) -> None:
    words = ("evaluate", files / "video.npz", "--against", files / "video.npz", "--metrics", "warping_error")
    done = ornstein(*words, "--set", "radius=2", "--set", "block=5", "--json")
    assert json.loads(done.out)["protocol"]["settings"] == {"flow": "block", "block": 5, "radius": 2}
    assert json.loads(done.out)["values"]["warping_error"] > 0.01


def test_mistakes_are_explained(ornstein: Call, files: Path) -> None:
    (files / "torn.wav").write_bytes(b"RIFF")
    a, p = files / "audio.npz", files / "points.npz"
    for words, code, said in (
        ((files / "torn.wav", "--against", a), 1, "is no WAV file"),
        ((a, "--against", p, "--metrics", "lsd"), 1, "name the items 'audio'"),
        ((a, "--against", files / "none.wav", "--metrics", "lsd"), 1, "there is no"),
        ((a, "--against", a, "--metrics", "lsd,chamfer"), 2, "metrics of one call are of one kind"),
        ((a, "--against", a, "--metrics", "wer"), 2, "wer needs the setting 'recogniser'"),
        ((a, "--against", a, "--metrics", "mdc", "--kind", "audio"), 2, "did you mean 'mcd'?"),
        ((files / "proteins.npz", "--against", p, "--metrics", "tm_score"), 1, "name the items 'backbone'"),
    ):
        done = ornstein("evaluate", *words)
        assert done.code == code and said in done.err and "Traceback" not in done.err, (words, done)
