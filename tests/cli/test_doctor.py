"""``ornstein doctor``: what it prints and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cli.shell import Outcome

Call = Callable[..., Outcome]


def test_data(ornstein: Call, squares: Path, tmp_path: Path) -> None:
    done = ornstein("doctor", squares)
    assert done.code == 0
    assert "ok       labels: 2 classes of 20 to 20 samples" in done.err
    assert "5 checks, nothing found" in done.out
    np.save(tmp_path / "dark.npy", np.random.default_rng(0).integers(0, 2, (9, 1, 8, 8), dtype=np.uint8))
    done = ornstein("doctor", tmp_path / "dark.npy")
    assert done.code == 1
    assert "error    range: values are 0 to 1 of 0 to 255: all images are black" in done.err
    assert "-> they look like floats in [0, 1] cut to whole numbers" in done.err
    assert "5 checks: 2 errors, 0 warnings" in done.out


def test_a_run(ornstein: Call, finished: Path, squares: Path) -> None:
    done = ornstein("doctor", finished, "--data", squares, "--json")
    found = {f["check"]: f for f in json.loads(done.out)}
    assert done.code == int(any(f["level"] == "error" for f in found.values()))
    assert found["configuration"]["level"] == "ok"
    assert "the loss went from" in found["one repeated batch"]["what"]
    quick = ornstein("doctor", finished, "--quick")
    assert "one repeated batch" not in quick.err
    assert quick.code == 0  # the data are found by the path in the checkpoint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--quick"], "'digits' is data, which takes no --quick"),
        (["RUN", "--size", "8"], "is a run, which takes no --size"),
        (["digits", "--device", "quantum"], "device 'quantum' cannot be used here"),
    ],
)
def test_mistakes(ornstein: Call, finished: Path, words: list[str], message: str) -> None:
    done = ornstein("doctor", *[finished if w == "RUN" else w for w in words])
    assert (done.code, message in done.err) == (2, True)


def test_nothing_of_that_name(ornstein: Call) -> None:
    done = ornstein("doctor", "digit")
    assert done.code == 1
    assert "unknown data 'digit'" in done.err and "digits" in done.err
