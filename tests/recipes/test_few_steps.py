"""Rectified flow, consistency models, shortcut models and mean flows as systems: stages, teachers, refusals."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ornstein
from ornstein.core.errors import CapabilityError, OrnsteinError, UsageError
from ornstein.denoisers import Preconditioned, Velocity
from ornstein.objectives.followers import Follower
from ornstein.processes import FlowMatching
from ornstein.recipes.checks.toys import MLP
from ornstein.recipes.pairs import Pairs
from ornstein.recipes.system import System
from ornstein.training.fit import Progress, Result

TINY: dict[str, Any] = {"batch": 8, "widths": (64,), "blocks": 1, "patch": 2, "precision": "fp32"}
REFLOW = TINY | {"pairs": 16, "pair_steps": 2, "first_steps": 3}


def grid(steps: int) -> torch.Tensor:
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


def test_reflow_learns_from_the_averaged_weights_of_the_stage_before(tmp_path: Path) -> None:
    system, result = ornstein.train(
        "rectified-flow", data="digits", size=8, out=tmp_path / "run", settings=REFLOW | {"distil": True}, steps=9
    )
    assert result.step == 9 and set(system.extra) == {"teacher_1", "teacher_2"}
    first, second = (system.extra[f"teacher_{i}"] for i in (1, 2))
    assert isinstance(first, Follower) and isinstance(second, Follower)
    assert bool(first.ready) and bool(second.ready) and int(first.seen) == int(second.seen) == 3 * 8
    weights = [next(p for p in m.parameters() if p.ndim == 4) for m in (first, second, system.denoiser)]
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])


@pytest.mark.parametrize("at", [2, 3, 5])
def test_an_interrupted_reflow_goes_on_as_if_it_had_not_been(at: int, tmp_path: Path) -> None:
    """Stopped in the first stage, at its end, and among the pairs."""

    def stop(progress: Progress) -> None:
        if progress.seen == at * TINY["batch"]:
            signal.raise_signal(signal.SIGTERM)

    def run(folder: str, on_step: Callable[[Progress], None] | None = None) -> tuple[System, Result]:
        return ornstein.train(
            "rectified-flow", data="digits", size=8, out=tmp_path / folder, settings=REFLOW, steps=7, on_step=on_step
        )

    whole, _ = run("a")
    assert run("b", stop)[1].step == at
    parts, result = run("b")
    assert result.step == 7
    for name, value in whole.modules.state_dict().items():
        assert torch.equal(parts.modules.state_dict()[name], value), name


def test_pairs_are_the_ends_of_the_teachers_flow() -> None:
    torch.manual_seed(0)
    denoiser = Preconditioned(MLP(width=8, depth=1), FlowMatching(), Velocity())
    teacher = Follower(denoiser)
    with pytest.raises(OrnsteinError, match="a teacher that was not trained: run the stage before this one first"):
        next(iter(Pairs(teacher, (2,), 8, 4, grid=grid(2))))
    teacher.take(denoiser)
    pairs = Pairs(teacher, (2,), 8, 4, grid=grid(3), classes=3)
    stream = iter(pairs)
    first = [next(stream) for _ in range(4)]
    rows = torch.cat([b.x["x_1"] for b in first[:2]])
    again = torch.cat([b.x["x_1"] for b in first[2:]])
    assert not torch.equal(rows, again) and torch.equal(rows.sort(0).values, again.sort(0).values)
    assert set(torch.cat([b.cond["label"] for b in first]).tolist()) == {0, 1, 2}
    resumed = Pairs(teacher, (2,), 8, 4, grid=grid(3), classes=3)
    resumed.restore({"given": 3})
    last = next(iter(resumed))
    torch.testing.assert_close(last.x["x_0"], first[3].x["x_0"])
    assert torch.equal(last.x["x_1"], first[3].x["x_1"])
    with pytest.raises(UsageError, match=r"at least as many pairs as a batch holds \(4\), got 3"):
        Pairs(teacher, (2,), 3, 4, grid=grid(3))


def test_distillation_keeps_its_teacher(tmp_path: Path) -> None:
    system, _ = ornstein.train(
        "consistency-models",
        data="digits",
        size=8,
        out=tmp_path / "run",
        settings=TINY | {"mode": "distillation"},
        steps=6,
    )
    assert set(system.extra) == {"counter", "target", "teacher"}
    assert int(system.extra["counter"].count) == 3 and bool(system.extra["teacher"].ready)  # type: ignore[union-attr, arg-type]
    one, two = (system.sample(2, steps=n, seed=3).tensor for n in (1, 2))
    assert not torch.equal(one, two)
    assert system.parameters() < sum(p.numel() for p in system.modules.parameters())


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("rectified-flow", {"rounds": -1}, "rounds must be at least 0"),
        ("rectified-flow", {"rounds": 0, "distil": True}, "at least one round of reflow"),
        ("rectified-flow", {"pairs": 8}, r"pairs must be at least one batch \(64\), got 8"),
        ("consistency-models", {"levels": 1}, "levels.*at least 2, got 1"),
        ("consistency-models", {"rate": 1.0}, r"rate must lie in \[0, 1\)"),
        ("consistency-models", {"first_levels": 200}, "1 <= s_0 <= s_1, got 200 and 150"),
        ("consistency-models", {"sigma_min": 100}, "0 < sigma_min < sigma_max"),
        ("consistency-improved", {"last_levels": 5}, "1 <= s_0 <= s_1, got 10 and 5"),
        ("consistency-improved", {"mode": "cd"}, "mode must be one of 'ict', 'ect', 'scm'"),
        ("consistency-improved", {"q": 1.0}, "q must exceed 1"),
        ("shortcut", {"finest": 100}, "finest must be a power of two of at least 2, got 100"),
        ("shortcut", {"sampling_steps": 3}, "sampling_steps must be a power of two up to finest"),
        ("meanflow", {"omega": 2.0, "cond_dropout": 0.0}, "needs cond_dropout > 0"),
        ("meanflow", {"equal": 1.5}, "equal, the part"),
        ("flow-matching", {"coupling": "optimal_transport", "latent_noise": 1.0}, "for independent coupling"),
        ("flow-matching", {"latent_noise": -1.0}, "gamma must be finite and >= 0"),
    ],
)
def test_what_cannot_be_meant(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        system = ornstein.build(name, settings=settings | ({"size": 8, "widths": (64,)}))
        next(system.stages(None))  # type: ignore[arg-type]


def test_jumps_that_were_not_trained_are_refused() -> None:
    system = ornstein.build("shortcut", settings=TINY | {"size": 8, "channels": 1})
    with pytest.raises(UsageError, match="the number of steps must be a power of two"):
        system.sample(1, steps=3)
    assert system.sample(1, steps=4, sampler="heun").tensor.shape == (1, 1, 8, 8)  # its velocity serves any solver


def test_flow_maps_are_not_guided_from_outside() -> None:
    system = ornstein.build("meanflow", settings=TINY | {"size": 8, "channels": 1, "classes": ("a", "b")})
    with pytest.raises(CapabilityError, match="guidance of a flow map belongs into its training"):
        system.sample(1, guidance=2.0)
