"""Orders that fall towards the end."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng
from ornstein.processes import VP
from ornstein.samplers import DEIS, Tapered, simulate
from ornstein.samplers.grids import log_snr
from ornstein.testing import exact

PROBLEM = exact.gmm8(VP(), std=0.3)
STEPS = 6


def drawn(sampler: Any, grid: Tensor) -> Tensor:
    rng = Rng(range(8))
    return simulate(sampler, PROBLEM.process.prior((8, *PROBLEM.shape)).sample(rng).double(), grid, rng)


def test_the_last_steps_are_those_of_lower_orders() -> None:
    grid = log_snr(PROBLEM.process, STEPS)
    whole, low = DEIS(PROBLEM.denoiser, "log_rho"), DEIS(PROBLEM.denoiser, "log_rho", points=1)
    x = PROBLEM.process.prior((8, *PROBLEM.shape)).sample(Rng(range(8))).double()
    state, plain = None, None
    tapered = Tapered(whole, STEPS, (1, 1))
    y, z, rng = x, x, Rng(range(8))
    for i, (t, s) in enumerate(pairwise(grid)):
        y, state = tapered.step(y, t, s, state, rng)
        z, plain = (whole if i < STEPS - 2 else low).step(z, t, s, plain, rng)
        assert torch.equal(y, z)


def test_it_is_the_sampler_itself_where_the_orders_are_no_limit() -> None:
    grid = log_snr(PROBLEM.process, STEPS)
    whole = DEIS(PROBLEM.denoiser)
    assert torch.equal(drawn(Tapered(whole, STEPS, (3, 3)), grid), drawn(whole, grid))
    assert not torch.equal(drawn(Tapered(whole, STEPS, (3, 2)), grid), drawn(whole, grid))


@pytest.mark.parametrize(("steps", "orders"), [(0, (1,)), (3, ()), (3, (1, 0))])
def test_numbers_that_cannot_be_meant(steps: int, orders: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="steps and orders of at least 1"):
        Tapered(DEIS(PROBLEM.denoiser), steps, orders)
