"""Replacement: the known stays, in the data's own space or in that of rotated colours."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.denoisers import Preconditioned, ScoreOut
from ornstein.networks.unconditioned import Unconditioned
from ornstein.objectives import ListedTimes
from ornstein.processes import VP
from ornstein.samplers import simulate
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.grids import uniform
from ornstein.samplers.replaced import Replaced, grey_basis


class Shrink(nn.Module):
    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        return -0.9 * x + t.reshape(-1, *[1] * (x.ndim - 1))


def sampler() -> DDIM:
    return DDIM(Preconditioned(Unconditioned(Shrink()), VP(), ScoreOut()))


def start() -> Tensor:
    return Rng([0, 1]).normal((2, 3, 2, 2), dtype=torch.float64)


def test_what_is_known_is_kept() -> None:
    known = Rng([5, 6]).normal((2, 3, 2, 2), dtype=torch.float64)
    mask = torch.zeros(1, 1, 2, 2)
    mask[..., 0] = 1
    x = simulate(Replaced(sampler(), known, mask), start(), uniform(VP(), 5), Rng([0, 1]))
    torch.testing.assert_close(x[..., 0], known[..., 0])
    assert float((x[..., 1] - known[..., 1]).abs().min()) > 1e-3


def test_colourising_keeps_the_grey_and_not_the_colours() -> None:
    basis = grey_basis()
    torch.testing.assert_close(basis @ basis.T, torch.eye(3, dtype=torch.float64))
    known = Rng([5, 6]).normal((2, 1, 2, 2), dtype=torch.float64).expand(2, 3, 2, 2)
    mask = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
    x = simulate(Replaced(sampler(), known, mask, basis), start(), uniform(VP(), 5), Rng([0, 1]))
    torch.testing.assert_close(x.mean(1), known.mean(1))
    assert float((x - known).abs().max()) > 1e-3


def test_masks_and_shapes_that_do_not_fit() -> None:
    known = torch.zeros(2, 1, 2, 2)
    with pytest.raises(UsageError, match="must hold 0 and 1 only"):
        Replaced(sampler(), known, torch.full((1,), 0.5))
    with pytest.raises(UsageError, match="basis of 3 channels does not fit data of 1"):
        Replaced(sampler(), known, torch.ones(1), grey_basis())
    with pytest.raises(UsageError, match="known data must be"):
        Replaced(sampler(), torch.zeros(2), torch.ones(1))


def test_listed_times_are_those_and_must_fall() -> None:
    law = ListedTimes(torch.tensor([1.0, 0.5, 0.1], dtype=torch.float64))
    drawn = law(Stream(0), 3000)
    assert set(drawn.tolist()) == {1.0, 0.5, 0.1}
    with pytest.raises(UsageError, match="must fall"):
        ListedTimes(torch.tensor([0.1, 0.5]))
    with pytest.raises(UsageError, match="numbers in"):
        ListedTimes(torch.tensor([1.0, 0.0]))
