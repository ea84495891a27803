"""``ornstein sample``: files, provenance, counts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.shell import Outcome, picture
from house.tree import environment
from ornstein.recipes.together import shares
from ornstein.training.distributed import Ranks

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


def test_processes_share_the_samples(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    """The same files, byte for byte, from two processes under torchrun."""
    words = ["-n", 12, "--batch", 4, "--steps", 2, "--guidance", 2, "--seed", 3]
    alone = sample(ornstein, finished, tmp_path / "alone", *words)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ornstein"]
    command += ["sample", str(finished), "-o", str(tmp_path / "both"), "--json", *map(str, words)]
    env = environment() | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    both = json.loads(done.stdout)  # one of them prints
    assert both["seeds"] == alone["seeds"] == list(range(3, 15)) and both["evaluations"] == alone["evaluations"] == 6
    for one, other in zip(alone["files"], both["files"], strict=True):
        assert Path(one).name == Path(other).name
        assert Path(one).read_bytes() == Path(other).read_bytes()


def test_shares() -> None:
    """Every sample once; whole batches where there are enough, else an even part for each."""
    for n, batch, world in ((12, 4, 2), (64, 64, 2), (7, 3, 4), (2, 64, 4), (5, 1, 3)):
        parts = [shares(n, batch, Ranks(rank, world)) for rank in range(world)]
        assert sorted(i for mine in parts for part in mine for i in part) == list(range(n))
        assert max(len(part) for mine in parts for part in mine) <= batch
    assert shares(12, 4, Ranks(1, 2)) == [range(4, 8)]
    assert [len(shares(64, 64, Ranks(rank, 2))[0]) for rank in range(2)] == [32, 32]
    assert shares(2, 64, Ranks(3, 4)) == []


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
