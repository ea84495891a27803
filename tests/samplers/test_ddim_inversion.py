"""DDIM inversion: its order, that DDIM decodes what it encodes, and that samples do not feel each other."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng
from ornstein.processes import Affine
from ornstein.samplers import DDIM, DDIMInversion, get, simulate
from ornstein.testing import exact
from ornstein.testing.conformance.problems import gaussian_on
from ornstein.testing.order import Counting, measured_order
from testing.tables import AFFINE, OWN

UP = torch.linspace(0, 1, 33, dtype=torch.float64) ** 1.5


@pytest.mark.parametrize("process", [*AFFINE.values(), *OWN.values()], ids=[*AFFINE, *OWN])
def test_order_one(process: Affine) -> None:
    order = measured_order(DDIMInversion, gaussian_on(process), steps=64, ends=(0.2, 0.8))
    assert abs(order - 1) < 0.15


@pytest.mark.parametrize("process", AFFINE.values(), ids=list(AFFINE))
def test_what_it_encodes_is_decoded(process: Affine) -> None:
    problem = exact.gmm8(process, std=0.3)
    x_0 = problem.sample(Rng(range(50)), 50)
    grid = UP * process.t_max
    errors = []
    for points in (1, 4):
        parts = torch.arange(1, points + 1) / points
        up = torch.cat([grid[:1], *(a + (b - a) * parts for a, b in pairwise(grid))])
        code = simulate(DDIMInversion(problem.denoiser), x_0, up, Rng(range(50)))
        back = simulate(DDIM(problem.denoiser), code, up.flip(0), Rng(range(50)))
        errors.append(float((back - x_0).square().mean().sqrt()))
    assert errors[1] < 0.5 * errors[0]


def test_refined_it_is_undone_exactly() -> None:
    problem = exact.gmm8(AFFINE["vp"], std=0.3)
    x_0 = problem.sample(Rng(range(20)), 20)
    grid = torch.linspace(0.05, 0.6, 24, dtype=torch.float64)
    x = problem.process.marginal(x_0, grid[0]).mean
    code = simulate(DDIMInversion(problem.denoiser, refine=40), x, grid, Rng(range(20)))
    back = simulate(DDIM(problem.denoiser), code, grid.flip(0), Rng(range(20)))
    assert torch.allclose(back, x, atol=1e-8)


def test_calls_and_times_per_sample() -> None:
    problem = exact.gmm8(AFFINE["edm"], std=0.3)
    counting = Counting(problem.denoiser)
    x_0 = problem.sample(Rng(range(3)), 3)
    grids = torch.stack([UP, UP * 0.7, UP**2], 1)
    together = simulate(DDIMInversion(counting), x_0, grids, Rng(range(3)))
    assert counting.calls == len(UP) - 1
    for i in range(3):
        alone = simulate(DDIMInversion(problem.denoiser), x_0[i : i + 1], grids[:, i], Rng([i]))
        assert torch.allclose(together[i], alone[0], rtol=1e-6)


def test_it_ascends_and_has_a_name() -> None:
    sampler = get("DDIMInverseScheduler")(exact.gaussian(AFFINE["vp"]).denoiser)
    assert isinstance(sampler, DDIMInversion)
    with pytest.raises(UsageError, match="ascends: its grid must increase"):
        simulate(sampler, torch.zeros(1, 1), UP.flip(0), Rng([0]))
    with pytest.raises(UsageError, match="refine"):
        DDIMInversion(exact.gaussian(AFFINE["vp"]).denoiser, refine=-1)
