"""``ornstein train``: the run folder, stopping, going on."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.shell import SMALL, Outcome, picture
from ornstein.cli.commands.train import default_out
from ornstein.cli.output import Progress

Call = Callable[..., Outcome]


def result(done: Outcome) -> dict[str, Any]:
    return dict(json.loads(done.out))


def test_the_run_folder(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"checkpoints", "config.json", "events", "log.txt", "metrics.jsonl", "samples"} <= names
    strip = picture(finished / "samples" / "step-0000003.png")
    assert strip.width > 6 * strip.height  # eight pictures side by side
    assert "3 steps, 24 images" in (finished / "log.txt").read_text()


@pytest.mark.parametrize("recipe", ["d3pm --set chain=8 --set sampling_steps=4", "cld"])
def test_systems_without_one_noise_level_are_drawn_by_their_own_sampler(
    recipe: str, ornstein: Call, squares: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    small = ("--set", "widths=16", "--set", "blocks=1", "--set", "batch=8")
    done = ornstein("train", *recipe.split(), "--data", squares, "--steps", 1, "--out", run, *small)
    assert done.code == 0, done.err
    assert picture(run / "samples" / "step-0000001.png").width > 0


def test_a_budget_that_ends_before_the_denoisers_stage_is_told(ornstein: Call, squares: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    small = ("--set", "widths=16", "--set", "codec_widths=8,8", "--set", "head=8", "--set", "batch=8")
    done = ornstein("train", "latent-diffusion", "--data", squares, "--kimg", 0.008, "--out", run, *small)
    assert done.code == 0
    assert (
        "before the stage that trains its denoiser" in done.err and "next: the same command with --resume" in done.out
    )
    refused = ornstein("sample", run, "-n", 1)
    assert refused.code == 2 and "its samples would be noise" in refused.err


def test_ctrl_c_saves_and_says_how_to_go_on(
    ornstein: Call, squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "my run"
    calls = 0
    update = Progress.update

    def interrupted(self: Progress, fraction: float, text: str = "") -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            signal.raise_signal(signal.SIGINT)
        update(self, fraction, text)

    monkeypatch.setattr(Progress, "update", interrupted)
    done = ornstein("train", "edm", "--data", squares, "--steps", 5, "--seed", 3, "--out", run, *SMALL)
    assert done.code == 130
    assert "stopped (SIGINT) and saved; go on with:" in done.err
    assert (run / "checkpoints" / "step-0000002").is_dir()
    program, *words = shlex.split(done.err.splitlines()[-1])
    assert program == "ornstein"
    again = ornstein(*words, "--json")
    assert again.code == 0
    assert result(again) | {"steps": 5, "stopped_by": "steps"} == result(again)


def test_a_run_is_not_overwritten(ornstein: Call, squares: Path, finished: Path) -> None:
    done = ornstein("train", "edm", "--data", squares, "--steps", 5, "--out", finished)
    assert done.code == 1
    assert "holds a run already: resume it (--resume), or choose another out" in done.err


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A run to go on with."""
    return shutil.copytree(finished, tmp_path / "copy")


def test_a_finished_run_says_so(ornstein: Call, squares: Path, copy: Path) -> None:
    done = ornstein("train", "edm", "--data", squares, "--out", copy, "--resume")
    assert done.code == 0
    assert "nothing left to do: the run has had 3 steps" in done.out


def test_minutes_take_over_from_steps(ornstein: Call, squares: Path, copy: Path) -> None:
    manifest = max((copy / "checkpoints").iterdir()) / "manifest.json"
    spent = json.loads(manifest.read_text())["meta"]["progress"]["seconds"]
    words = ("train", "edm", "--data", squares, "--out", copy, "--resume")
    done = ornstein(*words, "--minutes", (spent + 2) / 60, "--json")
    assert result(done)["stopped_by"] == "minutes"
    assert result(done)["steps"] > 3
    # The budget is remembered: it is used up, and a resumed run without one does not go on for ever.
    again = ornstein("train", "edm", "--data", squares, "--out", copy, "--resume", "--json")
    assert result(again)["steps"] == result(done)["steps"]


def test_thousands_of_images_take_over_from_steps(ornstein: Call, squares: Path, copy: Path) -> None:
    words = ("train", "edm", "--data", squares, "--out", copy, "--resume", "--json")
    done = ornstein(*words, "--kimg", 0.05, "--accumulate", 2, "--recompute")
    assert result(done) | {"stopped_by": "kimg", "images": 56} == result(done)
    assert "will not be equal to the last bit: accumulate is 2, was 1" in done.err
    assert result(ornstein(*words))["images"] == 56  # the budget is remembered


def test_steps_among_the_settings_count_on_resume(ornstein: Call, squares: Path, copy: Path) -> None:
    done = ornstein("train", "edm", "--data", squares, "--out", copy, "--resume", "--set", "steps=4", "--json")
    assert result(done)["steps"] == 4


def test_a_torn_checkpoint_is_named_and_passed_over(ornstein: Call, squares: Path, copy: Path) -> None:
    torn = shutil.copytree(copy / "checkpoints" / "step-0000003", copy / "checkpoints" / "step-0000004")
    (torn / "model.safetensors").write_bytes(b"half")
    sampled = ornstein("sample", copy, "-n", 1, "--steps", 1, "-o", copy / "x.png")
    assert sampled.code == 0
    assert "warning: passed over a damaged checkpoint" in sampled.err and "step-0000004" in sampled.err
    done = ornstein("train", "edm", "--data", squares, "--out", copy, "--resume", "--steps", 5)
    assert done.code == 0
    assert "step-0000004" in done.err and "is truncated" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "lr=1e-5"], "was started with lr=0.01 and cannot go on with 1e-05"),
        (["--size", "16"], "was trained on data of size 8, this data has 16"),
    ],
)
def test_only_the_length_may_change(ornstein: Call, squares: Path, copy: Path, words: list[str], message: str) -> None:
    done = ornstein("train", "edm", "--data", squares, "--out", copy, "--resume", "--steps", 5, *words)
    assert done.code == 1
    assert message in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "learning=1"], "EDM has no field 'learning'"),
        (["--set", "lrr=1"], "did you mean 'lr'?"),
        (["--set", "lr"], "--set takes field=value, got 'lr'"),
        (["--set", "lr=1", "--set", "lr=2"], "--set lr is given twice"),
        (["--set", "lr=fast"], "lr must be of type float, got 'fast'"),
        (["--kimg", "-1"], "--kimg must be positive, got -1"),
        (["--accumulate", "0"], "--accumulate must be at least 1, got 0"),
        (["--snapshots", "0"], "--snapshots must be at least 1, got 0"),
        (["--set", "precision=fp16"], "precision=fp16 is for CUDA devices; on a CPU take bf16 or fp32"),
        (["--minutes", "0"], "--minutes must be positive, got 0"),
        (["--minutes", "nan"], "--minutes must be positive, got nan"),
        (["--size", "4", "--set", "size=8"], "give one of them"),
        (["--device", "quantum"], "device 'quantum' cannot be used here"),
    ],
)
def test_wrong_settings(ornstein: Call, squares: Path, tmp_path: Path, words: list[str], message: str) -> None:
    done = ornstein("train", "edm", "--data", squares, "--out", tmp_path / "run", *words)
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("data", "name"), [("digits", "edm-digits"), ("a/photos/", "edm-photos"), ("x.y.npz", "edm-x.y")]
)
def test_default_out(data: str, name: str) -> None:
    assert default_out("edm", data) == Path("runs") / name
