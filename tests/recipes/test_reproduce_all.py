"""Measuring all recipes: what is due, several processes, going on, and a signal that must leave no row."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from ornstein.cli import main
from ornstein.core.errors import UsageError
from ornstein.recipes import ledger, reproduce
from ornstein.recipes.reproduce import check_names, get_check, results_folder
from ornstein.recipes.reproduce_all import due, reproduce_all

QUICK = ("cdm", "edm")
"""checks of a second or two"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger in which all rows but those of the quick checks are as they should be."""
    for path in results_folder().glob("*.json"):
        if path.stem not in QUICK:
            shutil.copy(path, tmp_path)
    return tmp_path


def test_rows_that_are_missing_or_old_or_of_too_few_seeds_are_due(folder: Path) -> None:
    before = set(due(3, folder))
    assert before >= set(QUICK)
    assert "ddim" not in before
    path = folder / "ddim.json"
    path.write_text(path.read_text().replace(ledger.read(path).code, "0" * 16))
    assert set(due(3, folder)) == before | {"ddim"}
    assert set(due(4, folder)) == set(check_names())


def test_it_writes_the_rows_and_goes_on_with_what_is_left(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    outcomes = reproduce_all(1, 2, tmp_path, lambda o, done, of: told.append((o.recipe, done, of)), QUICK)
    assert {o.recipe for o in outcomes} == set(QUICK)
    assert [t[1:] for t in told] == [(1, 2), (2, 2)]
    for outcome in outcomes:
        row = ledger.read(tmp_path / f"{outcome.recipe}.json")
        assert (outcome.holds, outcome.seconds) == (row.holds, row.seconds)
        assert row.processor_seconds is not None and 0 < row.processor_seconds < 2 * row.seconds + 1
        assert row.memory_mib is not None and 100 < row.memory_mib < 4096
    assert not set(due(1, tmp_path)) & set(QUICK)


def test_what_leaves_no_row_says_why(tmp_path: Path) -> None:
    (tmp_path / f"{QUICK[0]}.json").mkdir()  # the row cannot be written
    (outcome,) = reproduce_all(1, 1, tmp_path, names=QUICK[:1])
    assert outcome.holds is None
    assert "cannot write" in outcome.error


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="jobs and seeds must be at least 1, got 0 and 3"):
        reproduce_all(jobs=0, out=tmp_path)
    with pytest.raises(UsageError, match="cdm"):
        reproduce_all(out=tmp_path, names=["cdmm"])
    assert main(["reproduce"]) == 2
    assert "name a recipe, or give --all" in capsys.readouterr().err
    assert main(["reproduce", "ddim", "--jobs", "0", "--out", str(tmp_path)]) == 2
    assert "jobs must be at least 1, got 0" in capsys.readouterr().err


def test_seeds_side_by_side_measure_what_they_measure_one_by_one(tmp_path: Path) -> None:
    one, two = (reproduce.reproduce("cdm", seeds=2, out=tmp_path, jobs=jobs) for jobs in (1, 2))
    assert one.measured == two.measured
    assert "in 2 processes" in two.machine
    assert two.processor_seconds is not None and two.processor_seconds > 1  # the imports of both


def test_a_signal_leaves_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(seed: int) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGTERM)
        return {"error": 0.0}

    check = get_check("edm")
    monkeypatch.setattr(reproduce, "get_check", lambda name: replace(check, measure=measure))
    with pytest.raises(KeyboardInterrupt):
        reproduce.reproduce("edm", seeds=1, out=tmp_path)
    assert not list(tmp_path.iterdir())
