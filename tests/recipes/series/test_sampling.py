"""What the recipes' own sampler and grid make of the exact denoiser of correlated cells: the law itself, not a narrower one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ornstein.codecs.standard import DISTANCES
from ornstein.core.rng import Stream
from ornstein.data.series import Record, SeriesTable
from ornstein.recipes import registry
from ornstein.recipes.checks.gaussian_series import Unconditional
from ornstein.recipes.series.csdi import CSDI, csdi
from ornstein.recipes.series.data import roughness, settings_of, training_windows
from ornstein.recipes.series.fill import _batches
from ornstein.samplers.base import simulate
from ornstein.samplers.grids import get_grid

LENGTH = 24


@pytest.mark.parametrize("name", ["csdi", "sssd", "series-diffwave"])
def test_the_default_steps_keep_the_covariance_of_neighbours(name: str) -> None:
    """The sampler is linear here, so that the covariance of what it draws is exact: M M' sigma_max^2 of the identity's images."""
    card = registry.card(name)
    config = registry.make_config(card.config, {"window": LENGTH})
    choice, grid = config.sampler()
    lag = (torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)).abs().double()
    law = 0.9**lag * torch.cos(2 * math.pi * lag / 12) + 0.05 * (lag == 0)
    process = config.denoiser(torch.nn.Identity()).process
    exact = choice(Unconditional(process, law))
    times = get_grid(grid)(process, config.sampling_steps, None, None)
    begin = config.sigma_max * torch.eye(LENGTH, dtype=torch.float64)
    images = simulate(exact, begin, times, Stream(0))
    found = images.T @ images
    assert float(torch.linalg.norm(found - law) / torch.linalg.norm(law)) < 0.05


def _table(values: np.ndarray) -> SeriesTable:
    record = Record(values, np.arange(len(values), dtype=float))
    return SeriesTable((record,), tuple(f"c{i}" for i in range(values.shape[1])), calendar=False)


def test_roughness_is_the_share_that_a_line_misses() -> None:
    hours = np.arange(2000)[:, None]
    rng = np.random.default_rng(0)
    smooth = _table(np.sin(2 * np.pi * hours / 400))
    noise = _table(rng.normal(size=(2000, 2)))
    assert max(roughness(smooth)[:4]) < 0.1
    rough = np.array(roughness(noise)).reshape(2, -1)
    # Between two known values of noise the line misses by sqrt(1 + 1/2), half-way; beyond the last by sqrt(2).
    np.testing.assert_allclose(rough[:, 0], 1.5**0.5, rtol=0.1)
    np.testing.assert_allclose(rough[:, -1], 2**0.5, rtol=0.25)  # of few cells
    walk = _table(np.random.default_rng(1).normal(size=(6000, 1)).cumsum(0))
    steps = np.array(roughness(walk)) * float(walk.scales()[1][0])
    np.testing.assert_allclose(steps[:4] ** 2, DISTANCES[:4], rtol=0.35)
    assert len(roughness(_table(np.array([[0.0], [1.0], [2.0]])))) == len(DISTANCES)
    one = Record(np.array([[1.0]]), np.zeros(1))
    short = SeriesTable((one, Record(np.array([[3.0]]), np.zeros(1), "b")), ("a",), calendar=False)
    assert set(roughness(short)) == {0.5}


def test_what_is_denoised_has_unit_variance() -> None:
    walk = _table(np.random.default_rng(0).normal(size=(3000, 2)).cumsum(0))
    config = CSDI(**settings_of(walk), window=24)
    system = csdi(config)
    batch = training_windows(config, walk)[:400]
    x = system.codec.encode(batch.x, Stream(0))
    given = config.hiding()(x.isfinite(), Stream(0))
    line = config.anchor()
    assert line is not None and CSDI(anchored=False).anchor() is None
    told = line(x, given, batch.cond["position"])
    state = system.codec.encode(batch.x, Stream(0), told)[~given]
    assert float(state.square().mean()) == pytest.approx(config.sigma_data**2, rel=0.25)


@pytest.mark.parametrize(("windows", "n", "most"), [(3, 5, 4), (3, 40, 64), (2, 100, 64), (1, 32, 256)])
def test_batches_cover_every_draw_once(windows: int, n: int, most: int) -> None:
    found = _batches(windows, n, most)
    assert [i for rows in found for i in rows] == list(range(windows * n))
    assert max(map(len, found)) <= most
    if n >= 32:
        assert all(rows[0] // n == rows[-1] // n for rows in found)
