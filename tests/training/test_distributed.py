"""Several processes under torchrun train as one does with the same total batch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from house.tree import environment
from ornstein.core.rng import Stream
from ornstein.training import load_checkpoint
from ornstein.training.distributed import Ranks

SCRIPT = Path(__file__).with_name("ranks.py")
STEPS = 8


def trained(run: Path, processes: int, steps: int = STEPS, *more: str) -> dict[str, Any]:
    """What the training of ranks.py wrote down."""
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    words = [*start, str(SCRIPT), str(run), str(steps), *more]
    env = environment() | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(run.with_suffix(".json").read_text()))


def state(run: Path, step: int = STEPS) -> dict[str, torch.Tensor]:
    """Weights and averages at the end."""
    parts = load_checkpoint(run / "checkpoints" / f"step-{step:07d}").parts
    return {f"{part}/{k}": v for part in ("model", "ema") for k, v in parts[part].items()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """One process."""
    run = tmp_path_factory.mktemp("ranks") / "alone"
    return run, trained(run, 1)


def compare(run: Path, found: dict[str, Any], alone: tuple[Path, dict[str, Any]]) -> None:
    """Losses and weights to 1e-5."""
    assert found["seen"] == alone[1]["seen"] == STEPS * 8
    assert found["losses"] == pytest.approx(alone[1]["losses"], rel=1e-5)
    wanted = state(alone[0])
    for name, value in state(run).items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_two_processes_train_as_one(tmp_path: Path, alone: tuple[Path, dict[str, Any]]) -> None:
    found = trained(tmp_path / "two", 2)
    assert found["world"] == 2 and found["notes"] == []
    compare(tmp_path / "two", found, alone)
    assert (tmp_path / "two" / "metrics.jsonl").read_text().count("\n") == 1  # one of them writes


@pytest.mark.slow
def test_four_processes_train_as_one(tmp_path: Path, alone: tuple[Path, dict[str, Any]]) -> None:
    compare(tmp_path / "four", trained(tmp_path / "four", 4), alone)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path, alone: tuple[Path, dict[str, Any]]) -> None:
    run = tmp_path / "run"
    first = trained(run, 2, 3)
    second = trained(run, 1, STEPS, "resume")
    assert second["notes"] == ["the resumed run will not be equal to the last bit: processes is 1, was 2"]
    compare(run, second | {"losses": first["losses"] + second["losses"]}, alone)


def test_shares_of_a_stream_are_the_stream() -> None:
    whole = Stream(3)
    parts = [Stream(3, rank, 4) for rank in range(4)]
    for draw in ("normal", "uniform"):
        wanted = getattr(whole, draw)((8, 2, 3))
        assert torch.equal(torch.cat([getattr(part, draw)((2, 2, 3)) for part in parts]), wanted)
    wanted = whole.stratified(8)
    assert (wanted * 8).long().tolist() == list(range(8))
    assert torch.equal(torch.cat([part.stratified(2) for part in parts]), wanted)
    assert all(torch.equal(part.state(), whole.state()) for part in parts)


def test_alone_nothing_changes() -> None:
    ranks, x = Ranks.here(), torch.ones(2)
    ranks.average([x])
    ranks.wait()
    assert (ranks.world, ranks.main, x.tolist()) == (1, True, [1, 1])
    assert ranks.mean(0.5, "cpu") == 0.5 and ranks.highest([2, 0], "cpu") == [2, 0]
    assert torch.equal(ranks.gather(x)[0], x)
