"""The command line called in this process, on data and runs small enough for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cli.shell import SMALL, Outcome, write_pictures
from ornstein.cli import main


@pytest.fixture
def ornstein(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """``ornstein("sample", run, "-n", 4)`` -> exit code, standard output, standard error."""

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An array file: 40 grey pictures of 8 x 8 in two classes, dark and light."""
    path = tmp_path_factory.mktemp("data") / "squares.npz"
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = (rng.integers(0, 64, (40, 1, 8, 8)) + 160 * y[:, None, None, None]).astype(np.uint8)
    np.savez(path, x=x, y=y, classes=np.array(["dark", "light"]))
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, squares: Path) -> Path:
    """A finished run of three steps on ``squares``; for reading only."""
    run = tmp_path_factory.mktemp("runs") / "squares"
    assert main(["train", "edm", "--data", str(squares), "--steps", "3", "--out", str(run), *SMALL]) == 0
    return run


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 12 pictures in two classes."""
    return write_pictures(tmp_path / "pictures")
