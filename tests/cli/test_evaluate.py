"""``ornstein evaluate``: what may be measured, and the record of it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli.shell import Outcome, write_pictures
from house.tree import environment
from ornstein.recipes.system import System

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
    wanted = {
        "samples": 20,
        "reference": 20,
        "split": "train",
        "size": "1x8x8",
        "colour": "grey",
        "reference_resize": "as stored",
    }
    assert record["protocol"] | wanted == record["protocol"]
    subject = {"steps": 2, "seeds": [0, 19], "evaluations": 3.0, "guidance": 1.0}
    assert record["subject"] | subject == record["subject"]
    assert record["subject"]["weights"]["step"] == 3 and record["subject"]["weights"]["ema"] is True
    assert set(record["versions"]) == {"ornstein", "torch", "numpy", "python"}
    low, high = record["intervals"]["fd"]
    assert low < record["values"]["fd"] < high
    assert not (tmp_path / "new" / "s.json.parts").exists()


def test_several_seeds_are_averaged(ornstein: Call, finished: Path, squares: Path) -> None:
    words = (
        "evaluate",
        finished,
        "--against",
        squares,
        "-n",
        16,
        "--steps",
        2,
        "--metrics",
        "fd",
        "--draws",
        0,
        "--json",
    )
    both = measured(ornstein(*words, "--seeds", 2))
    first, second = (measured(ornstein(*words, "--seed", seed))["values"]["fd"] for seed in (0, 16))
    assert both["per_seed"]["fd"] == pytest.approx([first, second])
    assert both["values"]["fd"] == pytest.approx((first + second) / 2)
    assert both["subject"]["repeats"] == 2 and both["subject"]["seeds"] == [0, 31]


def test_an_interrupted_evaluation_goes_on(
    ornstein: Call, finished: Path, squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ornstein.evaluation.stream.PART", 8)
    words = (
        "evaluate",
        finished,
        "--against",
        squares,
        "-n",
        24,
        "--steps",
        2,
        "--metrics",
        "kid",
        "-o",
        tmp_path / "s.json",
    )
    whole = measured(ornstein(*words, "--json"))["values"]
    sample, calls = System.sample, list[int]()

    def counted(self: System, n: int, **options: Any) -> Any:
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        calls.append(options["seed"])
        return sample(self, n, **options)

    monkeypatch.setattr(System, "sample", counted)
    stop_after = 2
    assert ornstein(*words).code == 130
    assert calls == [0, 8]
    stop_after = 9
    assert measured(ornstein(*words, "--json"))["values"] == whole
    assert calls == [0, 8, 16]  # what was drawn before is not drawn again


def test_a_saved_reference(ornstein: Call, squares: Path, tmp_path: Path) -> None:
    file = tmp_path / "reference.safetensors"
    words = ("evaluate", squares, "--metrics", "fd,kid", "--json", "--draws", 0)
    direct = measured(ornstein(*words, "--against", squares, "--save-reference", file))
    assert measured(ornstein(*words, "--against", file))["values"] == direct["values"]
    refused = ornstein("evaluate", squares, "--against", file, "--extractor", "digits")
    assert refused.code == 1
    assert "was made with 'pixels 16x16'" in refused.err and "measured with 'digits classifier'" in refused.err
    (tmp_path / "torn.safetensors").write_bytes(file.read_bytes()[:100])
    assert "is no saved reference" in ornstein("evaluate", squares, "--against", tmp_path / "torn.safetensors").err


def test_pairs(ornstein: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (12, 1, 16, 16)).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x // 2)
    words = (
        "evaluate",
        tmp_path / "x.npy",
        "--against",
        tmp_path / "y.npy",
        "--metrics",
        "psnr,ssim,lr_consistency",
        "--json",
    )
    report = measured(ornstein(*words))
    mse = ((x.astype(float) - x // 2) ** 2).mean((1, 2, 3))
    assert report["values"]["psnr"] == pytest.approx((10 * np.log10(255**2 / mse)).mean())
    assert report["protocol"]["settings"] == {"factor": 4}
    np.save(tmp_path / "y.npy", x[:9])
    refused = ornstein(*words)
    assert refused.code == 1 and "sample i with reference i, and there are 12 and 9" in refused.err


def test_the_page_has_everything(ornstein: Call, finished: Path, squares: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = (
        "evaluate",
        finished,
        "--against",
        squares,
        "-n",
        20,
        "--steps",
        4,
        "--metrics",
        "fd,vendi",
        "--report",
        page,
    )
    done = ornstein(*words)
    assert done.code == 0, done.err
    text = page.read_text(encoding="utf-8")
    for title in ("Numbers", "Pictures", "Nearest neighbours", "Loss by noise level", "Trajectories", "Protocol"):
        assert f"<h2>{title}</h2>" in text
    assert text.count("<img ") == 5 and text.count("<svg ") == 1 and "Too few records" in text  # of three steps
    assert "95 % interval" in text and "effective number of different samples" in text
    assert "http://" not in text and "https://" not in text and "src='data:image/png" in text


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
        (["--metrics", "fdd"], 2, "unknown metric 'fdd': did you mean 'fd'?"),
        (
            ["--metrics", "fid"],
            2,
            "only the Inception network of the original makes a distance an FID, and these",
        ),
        (["--metrics", ","], 2, "--metrics names none"),
        (["--metrics", "memorisation"], 2, "memorisation and authenticity compare with the training images"),
        (
            ["--metrics", "classifier_score"],
            1,
            "classifier_score needs an extractor that classifies, and pixels 16x16 does not",
        ),
        (["--extractor", "inception"], 2, "--extractor inception needs its weights: inception=FILE"),
        (["--extractor", "inception=nowhere.pth"], 2, "the extractor's weights are not at nowhere.pth"),
        (["--extractor", "incepton=x.pth"], 2, "unknown extractor 'incepton': did you mean 'inception'?"),
        (["--extractor", "pixels", "--extractor-hash", "abc"], 1, "has hash pixels-16-1, not abc"),
        (["--seeds", "0"], 2, "--seeds must be at least 1, got 0"),
        (["--draws", "1"], 2, "--draws must be 0 or at least 2, got 1"),
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


def test_processes_share_the_work(ornstein: Call, finished: Path, squares: Path, tmp_path: Path) -> None:
    words = ["evaluate", finished, "--against", squares, "-n", 24, "--steps", 2, "--metrics", "kid", "--draws", 0]
    alone = measured(ornstein(*words, "--json"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    code = (
        "import sys, ornstein.evaluation.stream as s; from ornstein.cli import main; s.PART = 8; "
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *map(str, words), "--json", "-o", str(tmp_path / "s.json")]
    about = environment() | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    both = [
        subprocess.Popen(
            command, env=about | {"RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    printed = [p.communicate(timeout=120) for p in both]
    assert [p.returncode for p in both] == [0, 0], printed
    assert printed[1][0] == ""  # one of them prints
    found = json.loads(printed[0][0])
    assert found["values"]["kid"] == pytest.approx(alone["values"]["kid"], rel=1e-4)
    assert found["protocol"] == alone["protocol"]
    assert json.loads((tmp_path / "s.json").read_text())["values"] == found["values"]


def test_an_empty_folder(ornstein: Call, squares: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words in (
        ("evaluate", tmp_path / "empty", "--against", squares),
        ("evaluate", squares, "--against", tmp_path / "empty"),
    ):
        done = ornstein(*words)
        assert done.code == 1 and "empty" in done.err and "no pictures" in done.err


def test_no_more_samples_than_a_small_reference_has(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "few", count=4)
    done = ornstein("evaluate", finished, "--against", folder, "--metrics", "mmd", "--steps", 2, "--draws", 0, "--json")
    assert done.code == 0, done.err
    assert "drawing 8 samples, as many as the reference has" in done.err
    assert json.loads(done.out)["protocol"]["samples"] == 8
