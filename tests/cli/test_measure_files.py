"""``ornstein evaluate`` of files of series, tables, scores and texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.shell import Outcome

Call = Callable[..., Outcome]


def measured(done: Outcome) -> dict[str, Any]:
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


@pytest.fixture
def forecasts(tmp_path: Path) -> Path:
    """One file with draws, the truth and what is observed."""
    g = np.random.default_rng(0)
    truth = g.normal(size=(12, 5, 2))
    file = tmp_path / "forecasts.npz"
    np.savez(
        file, x=truth[:, None] + g.normal(size=(12, 20, 5, 2)), truth=truth, observed=np.ones((12, 5, 2), dtype=bool)
    )
    return file


def test_forecasts(ornstein: Call, forecasts: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.json"
    words = (
        "evaluate",
        forecasts,
        "--against",
        forecasts,
        "--metrics",
        "crps,mae,coverage",
        "--set",
        "level=0.8",
        "-o",
        out,
    )
    done = ornstein(*words)
    assert done.code == 0, done.err
    assert "crps" in done.out and "lower is better" in done.out and "protocol: modality series, samples 12" in done.out
    record = json.loads(out.read_text())
    assert set(record["values"]) == {"crps", "mae", "interval_coverage", "interval_width"}
    assert record["protocol"]["settings"] == {"point": "median", "level": 0.8}
    assert record["protocol"]["reference_name"] == "forecasts.npz" and record["subject"] == {"what": str(forecasts)}
    assert measured(ornstein(*words[:6], "-n", 8, "--json"))["protocol"]["samples"] == 8


def test_records_of_files_are_compared(ornstein: Call, forecasts: Path, tmp_path: Path) -> None:
    for name, level in (("a", 0.8), ("b", 0.9)):
        words = ("--metrics", "coverage", "--set", f"level={level}", "-o", tmp_path / f"{name}.json")
        assert ornstein("evaluate", forecasts, "--against", forecasts, *words).code == 0
    done = ornstein("benchmark", tmp_path / "a.json", tmp_path / "b.json", "-o", tmp_path / "t")
    assert done.code == 1 and "different protocols" in done.err and "level" in done.err
    assert ornstein("benchmark", tmp_path / "a.json", tmp_path / "a.json", "-o", tmp_path / "t").code == 0


def test_a_set_of_series(ornstein: Call, tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    np.savetxt(tmp_path / "a.csv", g.normal(size=(10, 16)), delimiter=",")
    np.save(tmp_path / "b.npy", g.normal(size=(14, 16)))
    found = measured(
        ornstein("evaluate", tmp_path / "a.csv", "--against", tmp_path / "b.npy", "--kind", "series", "--json")
    )
    assert set(found["values"]) == {"spectral", "autocorrelation"} and found["protocol"]["reference"] == 14


def rows(path: Path, n: int, seed: int) -> Path:
    g = np.random.default_rng(seed)
    lines = ["age,trade,grade"]
    for age in g.integers(20, 60, n):
        lines.append(f"{age},{'smith' if age + g.normal(0, 5) > 40 else 'clerk'},{g.integers(3)}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_tables(ornstein: Call, tmp_path: Path) -> None:
    fake, test, train = (rows(tmp_path / f"{name}.csv", 60, i) for i, name in enumerate(("fake", "test", "train")))
    known = measured(ornstein("evaluate", fake, "--against", test, "--json"))
    assert set(known["values"]) == {"column_shapes", "worst_column", "pair_trends"}
    assert known["protocol"]["numbers"] == "age, grade"
    words = ("--train", train, "--metrics", "all", "--set", "target=trade", "--set", "categorical=grade")
    found = measured(ornstein("evaluate", fake, "--against", test, *words, "--json"))
    assert {"utility", "utility_real", "closest_record", "nearer_to_train"} <= set(found["values"])
    assert found["protocol"]["numbers"] == "age" and found["protocol"]["categories"] == "trade, grade"


def test_texts(ornstein: Call, tmp_path: Path) -> None:
    (tmp_path / "said.txt").write_text("the cat is on the mat\na blue house there\n")
    lines = [{"reference": "the cat is on the mat"}, {"references": ["a blue house here", "a blue house there"]}]
    (tmp_path / "known.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = measured(ornstein("evaluate", tmp_path / "said.txt", "--against", tmp_path / "known.jsonl", "--json"))
    assert found["values"]["bleu"] == 1 and found["protocol"]["settings"] == {"tokeniser": "13a"}
    several = [
        json.dumps(["the cat is on the mat", "a dog"]),
        json.dumps({"candidates": ["x y", "a blue house there"]}),
    ]
    (tmp_path / "several.jsonl").write_text("\n".join(several))
    words = ("--metrics", "exact_match", "--set", "tokeniser=words", "--json")
    found = measured(ornstein("evaluate", tmp_path / "several.jsonl", "--against", tmp_path / "known.jsonl", *words))
    assert found["values"] == {"exact_match_mean": 0.5, "exact_match_mbr": 0.5, "exact_match_oracle": 1}


def test_scores(ornstein: Call, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("score\n0.1\n0.4\n0.35\n0.8\n")
    (tmp_path / "labels.txt").write_text("0\n0\n1\n1\n")
    words = ("--metrics", "auroc,dice", "--set", "threshold=0.3", "--json")
    found = measured(ornstein("evaluate", tmp_path / "scores.csv", "--against", tmp_path / "labels.txt", *words))
    assert found["values"]["auroc"] == 0.75 and found["values"]["dice"] == pytest.approx(4 / 5)


@pytest.mark.parametrize(
    ("said", "known", "words", "code", "message"),
    [
        ("a.txt", "a.txt", ("--metrics", "bluerouge"), 2, "unknown metric 'bluerouge'"),
        ("a.txt", "a.txt", ("--metrics", "blue"), 2, "unknown metric 'blue': did you mean 'bleu'"),
        ("a.txt", "a.txt", ("--metrics", "bleu,kid"), 2, "'bleu' is of text and 'kid' is of images"),
        ("a.txt", "a.txt", ("--kind", "texts"), 2, "unknown kind 'texts': did you mean 'text'"),
        ("a.txt", "a.txt", ("--set", "tokenizer=words"), 2, "TextSettings has no field 'tokenizer': did you mean 'tokeniser'"),
        ("a.txt", "a.txt", ("--set", "tokeniser=13b"), 2, "tokeniser must be one of"),
        ("a.txt", "a.txt", ("--report", "page.html"), 2, "--report belongs to images, and these are text"),
        ("a.txt", "gone.txt", (), 1, "no file"),
        ("empty.txt", "a.txt", (), 1, "there are no texts"),
        ("blank.txt", "a.txt", (), 1, "all texts are empty"),
        ("a.txt", "two.txt", (), 1, "compares sample i with reference i, and there are 1 and 2"),
        ("bad.jsonl", "a.txt", (), 1, "line 2 is no JSON"),
        ("other.jsonl", "a.txt", (), 1, "line 1 has none of the fields text"),
        ("number.jsonl", "a.txt", (), 1, "neither a text nor a list of texts"),
        ("a.txt", "ragged.csv", ("--metrics", "column_shapes"), 1, "a.txt ends with '.txt', and tables are read from .csv"),
        ("ragged.csv", "ragged.csv", (), 1, "row 3 has 1 cells and the first has 2"),
        ("nan.csv", "nan.csv", (), 1, "column 'x' holds NaN or infinity, first in row 1"),
        ("words.csv", "words.csv", ("--metrics", "spectral"), 1, "row 1 holds 'b', which is no number"),
        ("nan.csv", "nan.csv", ("--metrics", "utility"), 1, "NaN"),
        ("good.csv", "good.csv", ("--metrics", "utility"), 2, "utility needs the setting 'target'"),
        ("good.csv", "good.csv", ("--metrics", "closest_record"), 1, "closest_record needs the training data"),
        ("wrong.npz", "wrong.npz", ("--metrics", "crps"), 1, "has the arrays q; name one of them x"),
    ],
)  # fmt: skip
def test_bad_files(
    ornstein: Call, tmp_path: Path, said: str, known: str, words: tuple[str, ...], code: int, message: str
) -> None:
    contents = {
        "a.txt": "one\n", "two.txt": "one\ntwo\n", "empty.txt": "", "blank.txt": "\n \n", "bad.jsonl": '"a"\n{\n',
        "other.jsonl": '{"words": "a"}\n', "number.jsonl": "3\n", "ragged.csv": "x,y\n1,2\n3\n", "nan.csv": "x\n1\nnan\n",
        "words.csv": "x,y\n1,b\n", "good.csv": "x,y\n" + "1,2\n2,1\n" * 15,
    }  # fmt: skip
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    np.savez(tmp_path / "wrong.npz", q=np.zeros((2, 3)))
    done = ornstein("evaluate", tmp_path / said, "--against", tmp_path / known, *words)
    assert done.code == code, done.err
    assert message in done.err


def test_options_of_files_are_not_passed_over_for_images(ornstein: Call, squares: Path) -> None:
    done = ornstein("evaluate", squares, "--against", squares, "--set", "level=0.5")
    assert done.code == 2 and "--train and --set are for files of series" in done.err
