"""Weights divided among processes (FSDP2): the run is that of one process, and its checkpoints are whole or not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from house.tree import environment
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.shards import is_sharded, local
from ornstein.networks.dit import DiT
from ornstein.networks.mp_unet import MPUNet
from ornstein.networks.unet import UNet
from ornstein.training import Engine, fit
from ornstein.training.distributed import Ranks
from ornstein.training.sharding import Sharding, networks
from training.toy import Model, stages

PROGRAM = Path(__file__).with_name("dividing.py")
HALF = 3


def report(folder: Path, *words: str) -> dict[str, Any]:
    """What dividing.py found; a process of its own, because it forks."""
    env = environment() | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(PROGRAM), str(folder), *words], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def same_run(found: dict[str, Any], whole: list[float]) -> None:
    """Losses to 1e-5 of one process's, weights and averages too."""
    assert found["losses"] == pytest.approx(whole[-len(found["losses"]) :], rel=1e-5)
    assert found["tensors"] > 50
    assert found["beyond"] < 1e-5


def check_few(found: dict[str, Any]) -> None:
    """One process, two, four."""
    losses = found["alone"]["losses"]
    assert len(losses) == 2 * HALF
    assert found["half"]["losses"] == pytest.approx(losses[:HALF], rel=1e-5)
    weights = found["alone"]["held"][0]
    assert max(found["half"]["held"]) < 0.51 * weights and len(found["half"]["held"]) == 2
    assert max(found["on-4"]["held"]) < 0.27 * weights and len(found["on-4"]["held"]) == 4
    for processes in (1, 4):
        run = found[f"on-{processes}"]
        same_run(run, losses)
        assert run["notes"] == [f"the resumed run will not be equal to the last bit: processes is {processes}, was 2"]
        # The strip at the end, which all processes draw together.
        assert run["drawn"] == pytest.approx(found["alone"]["drawn"], rel=1e-6)
    assert found["loaded"] < 1e-5
    assert len(set(found["hashes"])) == 2 and {len(h) for h in found["hashes"]} == {64}


def test_two_processes_resume_on_one_and_on_four(tmp_path: Path) -> None:
    check_few(report(tmp_path))


@pytest.mark.slow
def test_divided_runs_resume_exactly(tmp_path: Path) -> None:
    found = report(tmp_path, "all")
    check_few(found)
    losses = found["alone"]["losses"]
    for name in ("undivided", "divided"):
        same_run(found[name], losses)
    for name in ("on-2", "rows", "hash"):
        assert found[name]["bits"], name
    for doom in ("rows", "hash"):
        assert found[f"{doom} killed"] and found[f"{doom} left"] and found[f"{doom} cleared"]
    assert "No space left" in found["full"]["notes"][0] and "newest is step-0000003" in found["full"]["notes"][0]
    assert found["full"]["losses"] == pytest.approx(losses[HALF:], rel=1e-5)
    (note,) = found["torn"]["notes"]
    assert "shard-00002" in note and "does not have the hash" in note
    assert found["torn"]["losses"] == found["on-2"]["losses"]
    assert found["averages"] < 1e-4


def test_what_is_divided() -> None:
    unet = MPUNet(channels=1, widths=(8,), blocks=1, attention=())
    model = nn.ModuleDict({"codec": nn.Linear(2, 2), "denoiser": nn.ModuleDict({"network": unet})})
    assert networks(model) == [unet]
    unet_too = UNet(channels=1, widths=(8,), blocks=1, attention=(), head=8)
    for network in (DiT(channels=1, patch=2, width=16, depth=1, head=8), unet_too):
        assert networks(nn.ModuleDict({"network": network})) == [network]


def test_a_model_without_blocks_cannot_be_divided() -> None:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        with pytest.raises(CapabilityError, match=r"Linear has no list of blocks .* leave out sharded"):
            Sharding(nn.Linear(2, 2), Ranks(), "cpu")
    finally:
        torch.distributed.destroy_process_group()


def test_alone_nothing_is_divided() -> None:
    models = [Model(), Model()]
    for model, sharded in zip(models, (False, True), strict=True):
        torch.manual_seed(0)
        fit(model, stages(model, (5,)), Engine(sharded=sharded))
    for a, b in zip(*(m.state_dict().values() for m in models), strict=True):
        assert torch.equal(a, b) and not is_sharded(a) and local(a) is a


@pytest.mark.parametrize(
    ("options", "message"),
    [({"compile": True}, "leave out compile"), ({"scale_loss": True}, "bf16 or fp32")],
)
def test_what_does_not_go_with_it(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Engine(sharded=True, **options)
