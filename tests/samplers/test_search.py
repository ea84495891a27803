"""Grids that a search returns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng
from ornstein.processes import VP
from ornstein.samplers import fit_grid, get, simulate
from ornstein.samplers.grids import log_snr
from ornstein.testing import exact

PROBLEM = exact.gmm8(VP(), std=0.3)
START = log_snr(PROBLEM.process, 5)


def flow(seeds: range) -> tuple[torch.Tensor, torch.Tensor]:
    """Starts and where the flow leads."""
    x = PROBLEM.process.prior((len(seeds), *PROBLEM.shape)).sample(Rng(seeds)).double()
    sampler = get("adaptive_rk", options={"tolerance": 1e-6})(PROBLEM.denoiser)
    return x, simulate(sampler, x, torch.tensor([1.0, 0.0]), Rng(seeds))


@pytest.mark.parametrize("name", ["ddim", "dpmpp_2m"])
def test_a_fitted_grid_is_better_on_other_starts(name: str) -> None:
    sampler = get(name)(PROBLEM.denoiser)
    grid = fit_grid(sampler, *flow(range(100, 132)), START, rounds=40)
    x, wanted = flow(range(32))
    before, after = (
        float((simulate(sampler, x, times, Rng(range(32))) - wanted).square().mean()) for times in (START, grid)
    )
    assert grid.shape == START.shape
    assert grid[0] == START[0]
    assert grid[-1] == 0
    assert grid[-2] >= PROBLEM.process.t_min
    assert bool((grid.diff() < 0).all())
    assert after < 0.7 * before


def test_the_start_is_kept_where_nothing_is_better() -> None:
    sampler = get("ddim")(PROBLEM.denoiser)
    x, wanted = flow(range(4))
    assert torch.allclose(fit_grid(sampler, x, wanted, START, rounds=1, rate=1e-12), START, atol=1e-2)


def test_starts_that_are_missed_by_far_can_be_left_out() -> None:
    sampler = get("ddim")(PROBLEM.denoiser)
    x, wanted = flow(range(100, 132))
    astray = wanted.clone()
    astray[0] = 100.0
    y, there = flow(range(32))

    def error(kept: float) -> float:
        grid = fit_grid(sampler, x, astray, START, rounds=40, kept=kept)
        return float((simulate(sampler, y, grid, Rng(range(32))) - there).square().mean())

    assert error(0.95) < 0.7 * float((simulate(sampler, y, START, Rng(range(32))) - there).square().mean())
    assert error(0.95) < error(1.0)


@pytest.mark.parametrize(
    ("name", "changes", "error", "words"),
    [
        ("ancestral", {}, CapabilityError, "fitted to a deterministic sampler of fixed steps; Ancestral is not"),
        ("adaptive_rk", {}, CapabilityError, "AdaptiveRK is not"),
        ("ddim", {"grid": torch.tensor([1.0, 0.5])}, UsageError, "end at t = 0"),
        ("ddim", {"wanted": torch.zeros(3, 2)}, UsageError, "give one end per start"),
        ("ddim", {"rounds": 0}, UsageError, "rounds >= 1"),
        ("ddim", {"rate": math.nan}, UsageError, "rate > 0"),
        ("ddim", {"kept": 0.0}, UsageError, "kept is a share of the starts"),
        ("ddim", {"kept": 1.5}, UsageError, "at most 1, got 1.5"),
    ],
)
def test_what_cannot_be_fitted_is_named(name: str, changes: dict[str, Any], error: type[Exception], words: str) -> None:
    given: dict[str, Any] = {"x": torch.zeros(4, 2), "wanted": torch.zeros(4, 2), "grid": START} | changes
    with pytest.raises(error, match=words):
        fit_grid(get(name)(PROBLEM.denoiser), **given)
