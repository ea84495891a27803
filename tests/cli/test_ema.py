"""``ornstein ema``: a model of any average's width from the snapshots of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ornstein as package
from cli.shell import SMALL, Outcome
from ornstein.training import load_checkpoint

Call = Callable[..., Outcome]


@pytest.fixture
def run(ornstein: Call, squares: Path, tmp_path: Path) -> Path:
    """Four steps with a snapshot after every second."""
    out = tmp_path / "run"
    done = ornstein("train", "edm", "--data", squares, "--steps", 4, "--snapshots", 2, "--out", out, *SMALL)
    assert done.code == 0
    return out


def test_an_average_is_written_and_sampled(ornstein: Call, run: Path, tmp_path: Path) -> None:
    done = ornstein("ema", run, "--std", 0.05, "-o", tmp_path / "model", "--json")
    assert done.code == 0
    about = json.loads(done.out)
    assert (about["step"], about["images"], about["averages"]) == (4, 32, 4)
    made = package.load(tmp_path / "model").modules.state_dict()
    stored = load_checkpoint(run / "snapshots" / "step-0000004").parts
    for name, value in {**stored["power-0.05"], **stored["rest"]}.items():
        torch.testing.assert_close(made[name], value, rtol=1e-5, atol=1e-6)
    shown = ornstein("sample", tmp_path / "model", "-n", 1, "--steps", 1, "-o", tmp_path / "x.png")
    assert shown.code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--std", "0.4"], 2, "must lie in (0, 0.288]"),
        (["--std", "0.1", "--step", "3"], 2, "has no snapshot of step 3; the nearest is 2"),
    ],
)
def test_mistakes(ornstein: Call, run: Path, tmp_path: Path, words: list[str], code: int, message: str) -> None:
    done = ornstein("ema", run, "-o", tmp_path / "model", *words)
    assert (done.code, message in done.err) == (code, True)
    assert not (tmp_path / "model").exists()


def test_a_run_without_snapshots(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    done = ornstein("ema", finished, "--std", 0.1, "-o", tmp_path / "model")
    assert done.code == 1
    assert "has no snapshots to make an average of; train with --snapshots" in done.err
