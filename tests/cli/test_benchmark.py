"""``ornstein benchmark``: one table of several systems, samplers and step counts."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.shell import Outcome
from ornstein.recipes.system import System

Call = Callable[..., Outcome]


def table(out: Path) -> list[dict[str, str]]:
    with (out / "table.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_table_of_samplers_and_data(
    ornstein: Call, finished: Path, squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bench"
    words = ("benchmark", finished, squares, "--against", squares, "-n", 20, "--metrics", "fd,kid", "--seeds", 2)
    words = (*words, "--samplers", "ddim,dpmpp_2m", "--steps", "2,3", "-o", out)
    done = ornstein(*words)
    assert done.code == 0, done.err
    rows = table(out)
    assert [(r["sampler"], r["steps"]) for r in rows] == [
        ("ddim", "2"), ("ddim", "3"), ("dpmpp_2m", "2"), ("dpmpp_2m", "3"), ("", ""),
    ]  # fmt: skip
    assert abs(float(rows[-1]["fd"])) < min(float(r["fd"]) for r in rows[:-1])
    assert [float(r["evaluations"]) for r in rows[:2]] == [2, 3]
    assert (out / "table.md").read_text().startswith("| system |")
    assert (out / "fd.svg").read_text().startswith("<svg") and (out / "kid.svg").is_file()
    assert len(json.loads((out / "table.json").read_text())) == 5
    assert len(list((out / "records").iterdir())) == 5 and not (out / "parts").exists()
    monkeypatch.setattr(System, "sample", lambda *a, **k: pytest.fail("measured again"))
    again = ornstein(*words)
    assert again.code == 0 and table(out) == rows


def test_records_of_other_protocols_are_refused(ornstein: Call, squares: Path, tmp_path: Path) -> None:
    for n in (20, 30):
        ornstein("evaluate", squares, "--against", squares, "-n", n, "--metrics", "kid", "-o", tmp_path / f"{n}.json")
    done = ornstein("benchmark", tmp_path / "20.json", tmp_path / "30.json", "-o", tmp_path / "bench")
    assert done.code == 1
    assert "'20' and '30' were measured under different protocols" in done.err and "samples: 20 and 30" in done.err
    same = ornstein("benchmark", tmp_path / "20.json", tmp_path / "20.json", "-o", tmp_path / "bench", "--json")
    assert same.code == 0
    assert [r["name"] for r in json.loads(same.out)] == ["20", "20 (2)"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--steps", "5,x"], 2, "--steps are whole numbers separated by commas, got '5,x'"),
        (["--steps", "0,5"], 2, "--steps must be at least 1, got 0"),
        (["--samplers", "hein"], 2, "unknown sampler 'hein'"),
        (["--metrics", "fdd"], 2, "unknown metric 'fdd': did you mean 'fd'?"),
    ],
)
def test_mistakes(
    ornstein: Call, finished: Path, squares: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    done = ornstein("benchmark", finished, "--against", squares, "-o", tmp_path / "bench", *words)
    assert done.code == code
    assert message in done.err


def test_a_reference_is_needed(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    done = ornstein("benchmark", finished, "-o", tmp_path / "bench")
    assert done.code == 2 and "--against names no reference" in done.err


def test_what_has_no_sampler_to_choose_gets_one_row(ornstein: Call, squares: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "gan", tmp_path / "bench"
    small = ("--set", "widths=8", "--set", "critic_widths=8", "--set", "batch=8", "--steps", 2)
    assert ornstein("train", "baseline-gan", "--data", squares, "--size", 8, *small, "--out", run).code == 0
    words = ("benchmark", run, "--against", squares, "-n", 20, "--metrics", "kid", "-o", out)
    done = ornstein(*words, "--samplers", "ddim,heun", "--steps", "2,3")
    assert done.code == 0, done.err
    (row,) = table(out)
    assert float(row["evaluations"]) == 1 and row["name"] == str(run)
