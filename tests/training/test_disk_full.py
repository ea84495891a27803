"""A disk that fills up at any operation of a checkpoint's write: the former checkpoint stays, and the run says so."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from house.tree import environment
from ornstein.core.errors import CheckpointError
from ornstein.training import Engine, Result, Snapshots, checkpoint, fit, latest_checkpoint
from ornstein.training.checkpoint import CheckpointWarning, checkpoints, save_checkpoint
from ornstein.training.metrics import MetricsWarning, read_metrics
from training.toy import Model, stages


def full(*words: object, **options: object) -> Any:
    """What the system says."""
    raise OSError(errno.ENOSPC, "No space left on device")


def half(tensors: dict[str, Tensor], path: Path) -> None:
    """A file of which a part found room."""
    path.write_bytes(b"\x08\x00\x00")
    full()


POINTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "before the first file": (Path, "mkdir", full),
    "at a file": (checkpoint, "save_file", full),
    "inside a file": (checkpoint, "save_file", half),
    "when a file is flushed": (os, "fsync", full),
    "at the manifest": (Path, "write_text", full),
    "at the new name": (Path, "rename", full),
}


@contextmanager
def filled(point: str, when: Callable[[], bool]) -> Iterator[None]:
    """Inside, the operation fails while ``when()``."""
    holder, name, failing = POINTS[point]
    working = getattr(holder, name)

    def operation(*words: Any, **options: Any) -> Any:
        return (failing if when() else working)(*words, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holder, name, operation)
        yield


def run(out: Path, model: Model, failing: Callable[[int], bool], point: str, resume: bool = False) -> Result:
    """Six steps, a checkpoint after each; the disk is full at some of them."""
    step = 0

    def on_step(progress: Any) -> None:
        nonlocal step
        step = progress.step

    engine = Engine(run=out, on_step=on_step, save_every_seconds=0, tensorboard=False, resume=resume, seed=3)
    with filled(point, lambda: failing(step)):
        return fit(model, stages(model, (6,)), engine)


@pytest.fixture(scope="module")
def wanted() -> dict[str, Tensor]:
    """Where an untroubled run ends."""
    model = Model()
    fit(model, stages(model, (6,)), Engine(seed=3))
    return {k: v.clone() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("point", POINTS)
def test_training_goes_on_while_the_disk_is_full(point: str, tmp_path: Path, wanted: dict[str, Tensor]) -> None:
    model = Model()
    message = (
        r"could not write the checkpoint .*step-0000003: .*No space left.*the newest is step-0000002.*Training goes on"
    )
    with pytest.warns(CheckpointWarning, match=message):
        result = run(tmp_path, model, lambda step: step == 3, point)
    assert (result.step, result.reason) == (6, "steps")
    assert len(result.notes) == 1 and "step-0000003" in result.notes[0]
    assert [p.name for p in checkpoints(tmp_path)] == ["step-0000005", "step-0000006"]
    assert all(torch.equal(v, wanted[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("point", POINTS)
def test_a_disk_that_stays_full_ends_with_an_error_and_can_be_resumed(
    point: str, tmp_path: Path, wanted: dict[str, Tensor]
) -> None:
    message = r"step-0000006: .*No space left.*the newest is step-0000003\. Free space and resume from there"
    with pytest.warns(CheckpointWarning), pytest.raises(CheckpointError, match=message):
        run(tmp_path, Model(), lambda step: step > 3, point)
    found, torn = latest_checkpoint(tmp_path)
    assert found is not None and found.path.name == "step-0000003" and not torn
    model = Model()
    run(tmp_path, model, lambda step: False, point, resume=True)
    assert all(torch.equal(v, wanted[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("point", POINTS)
def test_a_checkpoint_that_cannot_be_replaced_stays(point: str, tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "model", {"model": {"w": torch.ones(2)}}, {})
    with filled(point, lambda: True), pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(path, {"model": {"w": torch.zeros(2)}}, {})
    assert torch.equal(checkpoint.load_checkpoint(path).parts["model"]["w"], torch.ones(2))


def test_a_record_that_cannot_be_written_costs_the_record_only(tmp_path: Path) -> None:
    model = Model()
    engine = Engine(run=tmp_path, log_every=1, tensorboard=False)

    class Disk:
        """A file on a disk that is full at step 2."""

        def __init__(self, file: Any):
            self.file = file

        def write(self, text: str) -> None:
            full() if '"step": 2,' in text else self.file.write(text)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    working = Path.open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda p, *w, **o: Disk(f) if (f := working(p, *w, **o)).name.endswith("l") else f)
        with pytest.warns(MetricsWarning, match="step 2 was not recorded: No space left"):
            fit(model, stages(model, (4,)), engine)
    assert [r["step"] for r in read_metrics(tmp_path)] == [1, 3, 4]


def test_a_snapshot_that_cannot_be_written_costs_the_snapshot_only(tmp_path: Path) -> None:
    model, step = Model(), 0

    def on_step(progress: Any) -> None:
        nonlocal step
        step = progress.step

    engine = Engine(run=tmp_path, snapshots=Snapshots(1), on_step=on_step, tensorboard=False)
    with filled("at a file", lambda: step == 2), pytest.warns(CheckpointWarning, match="snapshots/step-0000002"):
        result = fit(model, stages(model, (4,)), engine)
    assert [p.name for p in sorted((tmp_path / "snapshots").iterdir())] == [f"step-000000{n}" for n in (1, 3, 4)]
    assert len(result.notes) == 1


def test_a_real_limit_on_files(tmp_path: Path) -> None:
    """Not simulated: the kernel refuses to make a file larger than 4096 bytes."""
    code = f"""
import resource, torch
from pathlib import Path
from ornstein.core.errors import CheckpointError
from ornstein.training.checkpoint import load_checkpoint, save_checkpoint
path = Path({str(tmp_path)!r}) / "model"
save_checkpoint(path, {{"model": {{"w": torch.ones(2)}}}}, {{}})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save_checkpoint(path, {{"model": {{"w": torch.zeros(100_000)}}}}, {{}})
except CheckpointError as e:
    print(e)
assert load_checkpoint(path).parts["model"]["w"].tolist() == [1, 1]
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] != 4096
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "could not write the checkpoint" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
