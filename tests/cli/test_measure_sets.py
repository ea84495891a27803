"""``ornstein evaluate`` of named sets that hold no images, on small sets of every kind made here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.shell import Outcome
from ornstein.data import Arrays, sources
from ornstein.data.captions import Captions
from ornstein.data.sources import Source

Call = Callable[..., Outcome]

ALPHABET = ("", *"CNO ", *"abcdefgh")


def tokens(texts: list[str]) -> Arrays:
    x = np.zeros((len(texts), 20), dtype=np.uint8)
    for row, text in zip(x, texts, strict=True):
        row[: len(text)] = [ALPHABET.index(c) for c in text]
    return Arrays(x, conds={"length": np.array([len(t) for t in texts])}, of="tokens", alphabet=ALPHABET)


def helix(n: int, g: np.random.Generator) -> np.ndarray:
    """Atoms ``[n, 12]`` along a line, a bond apart."""
    return (np.arange(4 * n)[:, None] * np.array([1.4, 0, 0]) + g.normal(0, 0.05, (4 * n, 3))).reshape(n, 12)


def table(name: str, split: str) -> Arrays:
    """A few samples; the parts of a set differ in their number."""
    g = np.random.default_rng(len(split))
    n = 18 if split == "train" else 16
    lengths = {"length": np.full(n, 10)}
    if name == "waves":
        x = np.cumsum(g.normal(size=(n, 2, 12)), 2).astype(np.float32)
        x[0, 0, 3] = np.nan
        return Arrays(x, of="series")
    if name == "tales":
        return tokens(["".join(g.choice(list("abc def gh"), 12)).strip() or "a" for _ in range(n)])
    if name == "molecules":
        return tokens(["C" * (i + 1) + g.choice(["O", "N"]) for i in range(n)])
    if name == "voices":
        x = (g.normal(size=(n, 1, 4000)) * 3000).astype(np.int16)
        words = Captions.of(["a word"] * n)
        return Arrays(x, of="audio", hertz=8000, captions=words, conds={"length": np.full(n, 3500)})
    if name == "films":
        return Arrays(
            g.integers(0, 255, (n, 4, 1, 28, 28), dtype=np.uint8), of="video", conds={"length": np.full(n, 3)}
        )
    if name == "chairs":
        return Arrays(g.normal(size=(n, 30, 3)).astype(np.float32), of="points")
    if name == "blocks":
        return Arrays(g.integers(0, 3, (n, 1, 4, 4, 4), dtype=np.uint8), of="volumes")
    x = np.zeros((n, 14, 12), dtype=np.float32)
    x[:, :10] = np.stack([helix(10, g) for _ in range(n)])
    return Arrays(x, of="points", conds=lengths)


KINDS = {
    "waves": "series", "tales": "tokens", "molecules": "tokens", "voices": "audio", "films": "video", "chairs": "points",
    "blocks": "volumes", "proteins": "points",
}  # fmt: skip


@pytest.fixture(autouse=True)
def sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in KINDS.items():
        source = Source(name, "", "", "", ("train", "test"), lambda split, name=name: table(name, split), kind=kind)
        monkeypatch.setitem(sources.SOURCES, name, source)


def measured(done: Outcome) -> dict[str, Any]:
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


@pytest.mark.parametrize(
    ("name", "metrics", "value"),
    [
        ("waves", "spectral,autocorrelation", "spectral"),
        ("tales", "self_bleu,dist", "self_bleu"),
        ("molecules", "validity,uniqueness,novelty", "novelty"),
        ("voices", "log_spectral_fd", "audio_fd"),
        ("films", "warping_error", "motion"),
        ("chairs", "sets_cd,jsd", "mmd_cd"),
        ("proteins", "geometry", "bond_rmsd"),
    ],
)
def test_one_part_against_another(ornstein: Call, name: str, metrics: str, value: str) -> None:
    if name == "voices":
        metrics = "audio_fd"
    done = ornstein("evaluate", name, "--against", name, "--metrics", metrics, "-n", 16, "--draws", 0, "--json")
    record = measured(done)
    assert value in record["values"] and np.isfinite(record["values"][value])
    assert (
        record["protocol"] | {"samples": 16, "reference": 16, "split": "test", "reference_name": name}
        == record["protocol"]
    )


def test_what_they_hold_is_known(ornstein: Call, tmp_path: Path) -> None:
    """Without --metrics or --kind; and a file against a set."""
    assert "modality molecules" in ornstein("evaluate", "molecules", "--against", "molecules", "--draws", 0).out
    assert "modality text" in ornstein("evaluate", "tales", "--against", "tales", "--draws", 0).out
    (tmp_path / "a.smi").write_text("CCO\nCCN\nnothing\n")
    record = measured(
        ornstein("evaluate", tmp_path / "a.smi", "--against", "molecules", "--draws", 0, "--metrics", "all", "--json")
    )
    assert record["values"]["validity"] == pytest.approx(2 / 3)
    train = (
        "evaluate",
        "molecules",
        "--against",
        "molecules",
        "--split",
        "train",
        "--metrics",
        "novelty",
        "--draws",
        0,
        "--json",
    )
    assert measured(ornstein(*train))["values"]["novelty"] == 0  # they are those very molecules


def test_pairs_of_a_file_and_a_set(ornstein: Call, tmp_path: Path) -> None:
    """Forecasts of the test part, in its order; cells that are missing there do not count."""
    truth = np.nan_to_num(table("waves", "test").x.transpose(0, 2, 1), nan=1e9)
    np.save(tmp_path / "f.npy", np.where(truth == 1e9, 0, truth) + 0.5)
    words = ("evaluate", tmp_path / "f.npy", "--against", "waves", "--metrics", "mae", "--draws", 0, "--json")
    assert measured(ornstein(*words))["values"]["mae"] == pytest.approx(0.5, rel=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("waves", "--against", "waves", "--metrics", "mae"),
            "mae: sample i is compared with reference i, and these are no pairs",
        ),
        (("waves", "--against", "tales", "--metrics", "spectral"), "'tales' holds text, and the metrics are of series"),
        (("waves", "--against", "waves", "--split", "valid"), "'waves' has no split 'valid'"),
        (("blocks", "--against", "blocks"), "voxel_iou: sample i is compared with reference i"),
        (("waves", "--against", "waves", "-n", "0"), "-n must be at least 1, got 0"),
        (("molecules", "--against", "molecules", "--train", "molecules"), "no metric of molecules reads --train"),
        (
            ("tales", "--against", "tales", "--metrics", "dist", "--train", "tales"),
            "--train is read by ngram_perplexity",
        ),
    ],
)
def test_wrong_words(ornstein: Call, words: tuple[str, ...], message: str) -> None:
    done = ornstein("evaluate", *words)
    assert done.code in (1, 2) and message in done.err, done.err
