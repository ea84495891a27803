"""Power-function averages and their post-hoc reconstruction, against integrals and against runs kept in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.training import Callback, Engine, OptimizerSpec, PowerEMA, Progress, Snapshots, fit, load_checkpoint
from ornstein.training.doctor.averages import relative_distance
from ornstein.training.ema import gamma_of
from ornstein.training.posthoc import combination, inner, reconstruct
from ornstein.training.snapshots import snapshots
from training.toy import Model, stages


def density(tau: float, t: float, std: float) -> float:
    """p_{t, gamma}(tau)."""
    g = gamma_of(std)
    return (g + 1) * tau**g / t ** (g + 1)


@pytest.mark.parametrize("std", [0.01, 0.05, 0.1, 0.2, 0.2886])
def test_gamma_gives_the_width(std: float) -> None:
    """The standard deviation of tau / t under the profile, by its moments E tau^k = (g + 1) / (g + 1 + k)."""
    g = gamma_of(std)
    first, second = (g + 1) / (g + 2), (g + 1) / (g + 3)
    assert math.sqrt(second - first**2) == pytest.approx(std, rel=1e-6)


@pytest.mark.parametrize("std", [0.0, -1.0, 0.3])
def test_a_width_that_no_profile_has(std: float) -> None:
    with pytest.raises(UsageError, match=r"must lie in \(0, 0\.288\]"):
        gamma_of(std)


def test_inner_products_are_integrals() -> None:
    profiles = [(1.0, 0.05), (1.0, 0.1), (0.6, 0.15), (2.0, 0.08)]
    found = inner(profiles, profiles[:3])
    for i, (ta, sa) in enumerate(profiles):
        for j, (tb, sb) in enumerate(profiles[:3]):

            def product(x: float, ta: float = ta, sa: float = sa, tb: float = tb, sb: float = sb) -> float:
                return density(x, ta, sa) * density(x, tb, sb)

            assert found[i, j] == pytest.approx(quad(product, 0, min(ta, tb))[0], rel=1e-6)


def test_the_update_is_the_profile() -> None:
    """After n steps the average is sum_k theta_k (t_k^{g+1} - t_{k-1}^{g+1}) / t_n^{g+1}: the profile over each step."""
    model = nn.Linear(1, 1, bias=False).double()
    average = PowerEMA(model, 0.1)
    g = average.gamma
    values, batches = np.random.default_rng(0).normal(size=30), np.random.default_rng(1).integers(1, 9, 30)
    times = np.concatenate([[0], np.cumsum(batches)]).astype(float)
    for value, batch, seen in zip(values, batches, times[1:], strict=True):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(int(batch), int(seen))
    wanted = (values * np.diff(times ** (g + 1))).sum() / times[-1] ** (g + 1)
    assert average.state()["weight"].item() == pytest.approx(wanted, rel=1e-12)


def test_a_stored_average_is_itself() -> None:
    stored = [(t, s) for t in (100.0, 200.0, 300.0) for s in (0.05, 0.1)]
    found, error = combination(stored, (300.0, 0.05))
    assert found == pytest.approx([0, 0, 0, 0, 1, 0], abs=1e-6)
    assert error < 1e-6


@pytest.mark.parametrize("std", [0.04, 0.075, 0.12, 0.15, 0.2])
def test_more_snapshots_come_nearer(std: float) -> None:
    errors = []
    for count in (4, 16, 64):
        stored = [(t, s) for t in np.linspace(1 / count, 1, count) for s in (0.05, 0.1)]
        coefficients, error = combination(stored, (1.0, std))
        errors.append(error)
        assert coefficients.sum() == pytest.approx(1, abs=2 * error)
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01


class Kept(Callback):
    """Averages of many widths at full resolution, kept in memory beside the run."""

    def __init__(self, model: nn.Module, stds: tuple[float, ...]):
        self.averages = {std: PowerEMA(model, std) for std in stds}
        self.seen = 0
        self.live: dict[str, Tensor] = {}
        self.model = model

    def on_step(self, progress: Progress) -> str | None:
        for average in self.averages.values():
            average.update(progress.seen - self.seen, progress.seen)
        self.seen = progress.seen
        self.live = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        return None


STDS = (0.05, 0.075, 0.1, 0.15, 0.2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Kept]:
    """800 noisy steps at a constant rate with 40 snapshots, the last from a second session."""
    run = tmp_path_factory.mktemp("posthoc")
    model = Model()
    kept = Kept(model, STDS)
    for steps, resume in ((790, False), (800, True)):
        engine = Engine(
            run=run, resume=resume, callbacks=[kept], snapshots=Snapshots(20), tensorboard=False, log_every=100
        )
        (stage,) = stages(model, (steps,))
        for update in stage.updates:
            update.optimizer = OptimizerSpec(lr=0.05)
        fit(model, [stage], engine)
    return run, kept


@pytest.mark.parametrize("std", STDS)
def test_reconstruction_meets_the_full_resolution_run(std: float, trained: tuple[Path, Kept]) -> None:
    run, kept = trained
    found = reconstruct(run, std)
    wanted = kept.averages[std].state()
    error = relative_distance(wanted, found.tensors)
    print(f"std {std}: relative error {error:.2e}, profile error {found.profile_error:.2e}")
    assert error < 2e-3
    assert relative_distance(wanted, kept.live) > 20 * error  # the average is far from the weights themselves
    assert (found.step, found.seen) == (800, 3200)
    assert found.tensors["count"] == 800  # what is not trained comes along as it is


def test_an_earlier_step_can_be_chosen(trained: tuple[Path, Kept]) -> None:
    run, _ = trained
    found = reconstruct(run, 0.05, step=400)
    stored = load_checkpoint(run / "snapshots" / "step-0000400").parts["power-0.05"]
    assert relative_distance(stored, found.tensors) < 1e-6
    with pytest.raises(UsageError, match=r"no snapshot of step 405; the nearest is 400 \(of 20 to 800\)"):
        reconstruct(run, 0.05, step=405)


def test_what_cannot_be_reconstructed_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no snapshots to make an average of; train with --snapshots"):
        reconstruct(tmp_path, 0.1)
    with pytest.raises(UsageError, match="every so many steps, at least 1; got 0"):
        Snapshots(0)
    with pytest.raises(UsageError, match="one or more different widths"):
        Snapshots(5, (0.1, 0.1))
    model = Model()
    fit(model, stages(model, (2,)), Engine(run=tmp_path))
    with pytest.raises(CheckpointError, match=r"has no average 'power-0\.05': the run was started without"):
        fit(model, stages(model, (4,)), Engine(run=tmp_path, resume=True, snapshots=Snapshots(1)))


def test_a_resumed_run_forgets_the_snapshots_it_has_not_reached(tmp_path: Path) -> None:
    """As after a kill: the last checkpoint is older than the last snapshot."""
    model = Model()
    fit(model, stages(model, (4,)), Engine(run=tmp_path, snapshots=Snapshots(2)))
    late = save_like(tmp_path / "snapshots" / "step-0000004", tmp_path / "snapshots" / "step-0000008")
    seen: list[list[str]] = []

    class Look(Callback):
        def on_record(self, step: int, values: Mapping[str, float]) -> None:
            seen.append([p.name for p in snapshots(tmp_path)])

    engine = Engine(run=tmp_path, resume=True, snapshots=Snapshots(2), callbacks=[Look()], log_every=1)
    fit(model, stages(model, (5,)), engine)
    assert late.name not in seen[0]
    assert [p.name for p in snapshots(tmp_path)] == ["step-0000002", "step-0000004", "step-0000005"]


def save_like(source: Path, target: Path) -> Path:
    """A copy of a folder."""
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target
