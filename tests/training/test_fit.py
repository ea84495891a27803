"""The training loop: resuming is exact, losses that are not finite stop before the step, players do not mix."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ornstein.core.errors import CheckpointError, OrnsteinError, UsageError
from ornstein.core.loss import Loss
from ornstein.training import Engine, OptimizerSpec, Progress, Result, Stage, Update, fit, load_checkpoint
from ornstein.training.signals import Stop, ended_by_signals
from training.toy import Model, Points, stages

STEPS = (6, 4)


def weights(model: Model) -> dict[str, Tensor]:
    """A copy of everything that is saved."""
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def run(out: Path | None, stop_after: int | None = None, resume: bool = False) -> tuple[Model, Result]:
    """Train the toy, with a signal that stops it after some step."""
    model = Model()
    done = 0

    def on_step(progress: Progress) -> None:
        nonlocal done
        done += 1
        if done == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)

    engine = Engine(run=out, seed=3, resume=resume, on_step=on_step, ema_half_life=20, log_every=3)
    return model, fit(model, stages(model, STEPS), engine)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor], Result]:
    out = tmp_path_factory.mktemp("whole")
    model, result = run(out)
    return out, weights(model), result


@pytest.mark.parametrize("stop", range(1, 10))
def test_resuming_is_exact_wherever_it_stopped(
    stop: int, tmp_path: Path, uninterrupted: tuple[Path, dict[str, Tensor], Result]
) -> None:
    whole, wanted, ended = uninterrupted
    _, first = run(tmp_path, stop_after=stop)
    assert (first.reason, first.step) == ("SIGTERM", stop)
    torch.manual_seed(999)  # another process would start elsewhere
    model, second = run(tmp_path, resume=True)
    assert (second.reason, second.step, second.seen) == ("steps", 10, 40)
    assert same(weights(model), wanted)
    assert second.loss == ended.loss
    a, b = (load_checkpoint(p / "checkpoints" / "step-0000010") for p in (tmp_path, whole))
    for part in ("model", "ema", "optimizer", "random"):
        assert same(a.parts[part], b.parts[part]), part
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))


def test_without_a_folder_a_signal_is_not_held_back() -> None:
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        run(None, stop_after=2)


def test_a_program_around_a_run_hears_of_the_signal_after_it_was_saved(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        run(tmp_path, stop_after=2)
    assert load_checkpoint(tmp_path / "checkpoints" / "step-0000002").parts["model"]


def test_stopping_twice_is_exact_too(tmp_path: Path, uninterrupted: tuple[Path, dict[str, Tensor], Result]) -> None:
    run(tmp_path, stop_after=2)
    run(tmp_path, stop_after=3, resume=True)
    model, _ = run(tmp_path, resume=True)
    assert same(weights(model), uninterrupted[1])


def test_a_finished_run_resumes_to_itself(tmp_path: Path) -> None:
    model, _ = run(tmp_path)
    again, result = run(tmp_path, resume=True)
    assert result.step == 10
    assert same(weights(again), weights(model))


def test_a_torn_checkpoint_is_named_and_the_one_before_it_taken(
    tmp_path: Path, uninterrupted: tuple[Path, dict[str, Tensor], Result]
) -> None:
    run(tmp_path, stop_after=2)
    run(tmp_path, stop_after=4, resume=True)
    folders = sorted((tmp_path / "checkpoints").iterdir())
    assert [f.name for f in folders] == ["step-0000002", "step-0000006"]
    victim = folders[1] / "model.safetensors"
    victim.write_bytes(victim.read_bytes()[:100])
    model, result = run(tmp_path, resume=True)
    assert len(result.notes) == 1
    assert "step-0000006" in result.notes[0]
    assert "truncated" in result.notes[0]
    assert same(weights(model), uninterrupted[1])


def test_a_run_without_a_whole_checkpoint_cannot_resume(tmp_path: Path) -> None:
    run(tmp_path, stop_after=2)
    (tmp_path / "checkpoints" / "step-0000002" / "ema.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint of the run can be read.*ema\.safetensors is missing"):
        run(tmp_path, resume=True)


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    run(tmp_path, stop_after=1)
    with pytest.raises(CheckpointError, match="holds a run already: pass resume=True"):
        run(tmp_path)


def test_a_loss_that_is_not_finite_stops_before_the_step(tmp_path: Path) -> None:
    model, before = Model(), {}

    def on_step(progress: Progress) -> None:
        before.update(weights(model))

    engine = Engine(run=tmp_path, on_step=on_step, save_every_seconds=0)
    with pytest.raises(OrnsteinError, match=r"the loss is nan at step 4 of stage 'stage 0'.*step-0000003"):
        fit(model, stages(model, (8,), poison=3), engine)
    after = weights(model)
    del before["count"], after["count"]  # of forward passes
    assert same(after, before)


def test_players_move_only_their_own_parameters() -> None:
    model = Model()
    start = weights(model)

    def both(batch: object, rng: object) -> Loss:
        return Loss(model.second(model.first(torch.ones(2, 3))).square().mean())

    update = Update(both, list(model.second.parameters()), OptimizerSpec(lr=0.1))
    fit(model, [Stage("one", Points(), [update], 3)], Engine(ema_half_life=1e-6))
    for name, value in weights(model).items():
        assert torch.equal(value, start[name]) != name.startswith("second"), name


def test_a_later_stage_is_asked_for_only_when_the_former_has_ended() -> None:
    model, seen = Model(), []

    def lazily() -> object:
        for stage in stages(model, (3, 2)):
            seen.append((stage.name, float(model.count)))
            yield stage

    fit(model, lazily(), Engine())  # type: ignore[arg-type]
    assert seen == [("stage 0", 0.0), ("stage 1", 3.0)]


def test_minutes_end_a_run() -> None:
    model = Model()
    result = fit(model, stages(model, (10**6,)), Engine(minutes=1e-4))
    assert result.reason == "minutes"
    with pytest.raises(UsageError, match="minutes must be positive"):
        Engine(minutes=0)


def test_a_second_ctrl_c_does_not_wait() -> None:
    """SIGTERM comes more than once from some schedulers: only Ctrl-C, which a person presses, is impatient."""
    before = signal.getsignal(signal.SIGINT)
    with Stop().installed() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_saves_and_ends(number: signal.Signals, tmp_path: Path) -> None:
    model = Model()
    engine = Engine(run=tmp_path, on_step=lambda p: signal.raise_signal(number) if p.step == 2 else None)
    result = fit(model, stages(model, (9,)), engine)
    assert (result.reason, result.step) == (number.name, 2)
    assert load_checkpoint(tmp_path / "checkpoints" / "step-0000002").meta["progress"]["step"] == 2
