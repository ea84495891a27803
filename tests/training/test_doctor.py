"""The doctor of runs: every failure is caused, named and given a remedy."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from ornstein.core.batch import Batch
from ornstein.core.errors import OrnsteinError
from ornstein.core.finding import Finding
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.training import Engine, OptimizerSpec, Stage, Update, fit, load_checkpoint, save_checkpoint
from ornstein.training.doctor import averages, examine, falling, finite, gradient, whole
from ornstein.training.doctor.one_batch import one_batch
from training.toy import Model, Points, stages


def says(finding: Finding, level: str, *words: str) -> None:
    """The finding has the level, the words, and a remedy if it is bad."""
    assert finding.level == level, finding
    assert all(word in f"{finding.what} {finding.remedy}" for word in words), finding
    assert finding.good or finding.remedy


def records(run: Path, values: list[dict[str, float]]) -> None:
    """Metrics as a run leaves them."""
    text = "".join(json.dumps({"step": i + 1, **v}) + "\n" for i, v in enumerate(values))
    (run / "metrics.jsonl").write_text(text)


@pytest.fixture
def healthy(tmp_path: Path) -> Path:
    """A run of 40 steps."""
    model = Model()
    (stage,) = stages(model, (40,))
    fit(model, [stage], Engine(run=tmp_path, log_every=2, ema_half_life=4, save_every_seconds=0, tensorboard=False))
    return tmp_path


def test_a_healthy_run_passes(healthy: Path) -> None:
    found = list(examine(healthy))
    assert [f.check for f in found if not f.good] == []
    assert len(found) == 5


def test_a_torn_checkpoint(healthy: Path) -> None:
    (healthy / "checkpoints" / "step-0000040" / "ema.safetensors").write_bytes(b"x")
    says(whole.check(healthy), "warning", "step-0000040/ema.safetensors is truncated", "step-0000039 is whole")
    (healthy / "checkpoints" / "step-0000039" / "manifest.json").write_text("{")
    says(whole.check(healthy), "error", "step-0000039", "train anew")


def test_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    model = Model()
    engine = Engine(run=tmp_path, save_every_seconds=0, tensorboard=False)
    with pytest.raises(OrnsteinError):
        fit(model, stages(model, (8,), poison=3), engine)
    says(finite.check(tmp_path), "error", "the loss is nan at step 4", "step-0000003 is from before it", "lower lr")
    again = Model()  # with other data it goes on, and the note is history
    fit(again, stages(again, (8,)), Engine(run=tmp_path, resume=True, tensorboard=False))
    says(finite.check(tmp_path), "ok")


def test_weights_that_are_not_finite(healthy: Path) -> None:
    found = load_checkpoint(healthy / "checkpoints" / "step-0000040")
    found.parts["ema"]["first.0.weight"][0, 0] = torch.inf
    save_checkpoint(found.path, found.parts, found.meta)
    says(finite.check(healthy), "error", "ema weights of step-0000040", "'first.0.weight'", "earlier checkpoint")


def test_an_exploding_gradient_in_the_records(tmp_path: Path) -> None:
    usual = [{"grad_norm_max": 1.0 + i % 3} for i in range(12)]
    records(tmp_path, usual)
    says(gradient.check(tmp_path), "ok")
    records(tmp_path, [*usual, {"grad_norm_max": 250.0}, {"grad_norm_max": 1.0}])
    says(gradient.check(tmp_path), "warning", "by step 13", "250", "2 was usual", "lower lr")
    records(tmp_path, [{"grad_norm_max": 1e6}, *usual])  # the first steps are no measure
    says(gradient.check(tmp_path), "ok")


def test_an_exploding_gradient_while_it_happens(tmp_path: Path) -> None:
    """One batch of outliers among others."""
    model = nn.Linear(3, 1)

    def objective(batch: Batch, rng: Random) -> Loss:
        return Loss((model(batch.x) * batch.x.new_tensor(1e4 if outlier(batch) else 1.0)).square().mean())

    def outlier(batch: Batch) -> bool:
        return torch.equal(batch.x, torch.randn(4, 3, generator=torch.Generator().manual_seed(80)))

    stage = Stage("only", Points(), [Update(objective, list(model.parameters()), OptimizerSpec(lr=1e-4))], 90)
    watch = gradient.Watch()
    with pytest.warns(gradient.GradientWarning, match=r"exploded at step 81 of stage 'only': .*Lower lr") as said:
        fit(model, [stage], Engine(run=tmp_path, log_every=10, callbacks=[watch], tensorboard=False))
    assert len(said) == 1
    says(gradient.check(tmp_path), "warning", "by step 90")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = Stage("only", Points(), stage.updates, 80)
        fit(model, [quiet], Engine(callbacks=[gradient.Watch()]))


def test_a_loss_that_rises(tmp_path: Path) -> None:
    records(tmp_path, [{"loss": 1.0 + 0.1 * i} for i in range(12)])
    says(falling.check(tmp_path), "warning", "1.1 in the first quarter of the run, 2 in the last", "lower lr")
    records(tmp_path, [{"loss": 1.0}] * 3)
    says(falling.check(tmp_path), "ok", "too few")


def test_an_average_far_from_the_weights(tmp_path: Path) -> None:
    """A half-life far beyond the run, and a ramp that does not shorten it: the average stays at the initial weights."""
    model = Model()
    (stage,) = stages(model, (60,))
    for update in stage.updates:
        update.optimizer = OptimizerSpec(lr=0.5)
    engine = Engine(run=tmp_path, ema_half_life=1e9, ema_ramp=1e9, tensorboard=False)
    fit(model, [stage], engine)
    says(averages.check(tmp_path), "warning", "of their size away", "shorten ema_half_life")


class Same(Points):
    """Standing in for a loader: batches of 32."""

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield Batch(torch.randn(32, 3, generator=torch.Generator().manual_seed(1)))


def learner(lr: float = 0.05, cut: bool = False, missing: bool = False) -> tuple[nn.Module, Stage]:
    """A regression on noise that can be learned, unless something is wrong with it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 3))

    def objective(batch: Batch, rng: Random) -> Loss:
        target = rng.normal_like(batch.x)
        out = model(batch.x)
        return Loss(((out.detach() if cut else out) - target).square().mean())

    params = [nn.Parameter(torch.zeros(1))] if missing else list(model.parameters())
    return model, Stage("only", Same(), [Update(objective, params, OptimizerSpec(lr=lr, warmup=10**6))], 10)


def test_one_repeated_batch_is_learned() -> None:
    says(one_batch(*learner()), "ok", "in 60 steps at lr 0.05")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (learner(lr=1e-9), ("does not learn 16 images by heart", "raise lr")),
        (learner(lr=1e4), ("lower lr",)),
        (learner(cut=True), ("failed at step 1", "the loss depends on the network")),
        (learner(missing=True), ("the loss went from", "among those of the update")),
    ],
    ids=["low rate", "high rate", "cut graph", "other parameters"],
)
def test_one_repeated_batch_is_not_learned(model: tuple[nn.Module, Stage], words: tuple[str, ...]) -> None:
    says(one_batch(*model), "error", *words)


def test_players_are_not_judged() -> None:
    model = Model()
    says(one_batch(model, stages(model, (1,))[0]), "ok", "not judged")
