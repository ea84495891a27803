"""Ways from noise to data: their states, their curvature, the norm of the score."""

from __future__ import annotations

import math

import pytest
import torch

from explain.toys import Says, system
from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng
from ornstein.explain import Walk, curvature, walk
from ornstein.processes import VP
from ornstein.processes.gaussian import FlowMatching
from ornstein.samplers import get
from ornstein.samplers.base import simulate
from ornstein.testing import exact


def test_a_walk_ends_in_the_sample() -> None:
    model = system(Says())
    path = walk(model, 3, seed=5, guidance=2.0, conditions={"label": "b"})
    assert path.states.shape == (5, 3, 1, 4, 4)
    assert torch.equal(path.states[0], model.process.prior((3, 1, 4, 4)).sample(Rng(range(5, 8))))
    drawn = model.sample(3, seed=5, guidance=2.0, label="b")
    assert torch.equal(model.codec.decode(path.states[-1], path.cond), drawn.tensor)
    assert torch.equal(path.mean(4), path.states[-1])
    assert path.about["guidance"] == 2.0


def test_a_straight_way_has_no_curvature() -> None:
    """Flow matching to a single point: x_t = (1 - t) x_0 + t eps is a line."""
    process = FlowMatching()
    problem = exact.gaussian(process, mean=0.7, var=1e-12)
    states = []
    x = torch.randn(5, 1, dtype=torch.float64)
    grid = torch.linspace(1, 0.01, 9, dtype=torch.float64)
    simulate(get("ddim")(problem.denoiser), x, grid, Rng(range(5)), on_step=lambda s: states.append(s.x))
    # in two dimensions, each with its own point to go to
    way = torch.stack([torch.cat([s, 3 - 2 * s], 1) for s in states])
    found = curvature(way)
    assert float(found.curvature.abs().max()) < 1e-6
    assert torch.allclose(found.detour, torch.ones(5, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("radius", [0.5, 4.0])
def test_a_circle_has_that_of_its_radius(radius: float) -> None:
    angle = torch.tensor([0.0, 0.3, 1.0, 1.2, 2.5], dtype=torch.float64)  # unequal steps
    way = radius * torch.stack([angle.cos(), angle.sin()], 1)[:, None]
    found = curvature(way)
    assert torch.allclose(found.curvature, torch.full((3, 1), 1 / radius, dtype=torch.float64))
    assert torch.allclose(found.turn[:, 0], (angle[2:] - angle[:-2]) / 2)
    assert math.isclose(float(found.chord), 2 * radius * math.sin(1.25))


def test_standing_still_is_not_turning() -> None:
    way = torch.tensor([0.0, 1.0, 1.0, 2.0])[:, None, None]
    assert float(curvature(way).curvature.abs().max()) == 0
    with pytest.raises(UsageError, match="at least 3"):
        curvature(way[:2])


def test_the_score_of_standard_normal_data_is_minus_x() -> None:
    process = VP()
    problem = exact.gaussian(process, mean=0.0, var=1.0)
    x = torch.randn(2, 3, 7, dtype=torch.float64)
    path = Walk(torch.tensor([0.9, 0.0], dtype=torch.float64), x, {}, problem.denoiser, [0, 1, 2], {})
    # x_t has variance alpha^2 + sigma^2 = 1 at every t of VP
    assert torch.allclose(path.score_norm(0), x[0].square().mean(1).sqrt(), rtol=1e-9)
    assert bool(path.score_norm(1).isnan().all())
