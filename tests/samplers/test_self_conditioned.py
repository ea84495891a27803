"""Bits, the estimate's way through training and sampling, and what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.codecs import Identity
from ornstein.codecs.bits import AnalogBits
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.denoisers import X0, Preconditioned
from ornstein.objectives.self_conditioning import ESTIMATE, SelfConditioning
from ornstein.objectives.times import UniformTimes
from ornstein.processes import VP
from ornstein.samplers import DDIM, simulate
from ornstein.samplers.self_conditioned import SelfConditioned
from ornstein.testing import exact


@pytest.mark.parametrize("code", ["binary", "gray"])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_every_level_comes_back(bits: int, code: Any) -> None:
    codec = AnalogBits(bits, 0.5, code)
    levels = torch.arange(2**bits).reshape(1, 1, 1, -1)
    state = codec.spread(levels)
    assert state.shape == (1, bits, 1, 2**bits) and set(state.unique().tolist()) == {-0.5, 0.5}
    assert torch.equal(codec.gather(state), levels)
    assert torch.equal(codec.gather(state + 0.4 * torch.sin(torch.arange(2**bits))), levels)  # the sign alone counts


def test_gray_neighbours_differ_in_one_bit() -> None:
    state = AnalogBits(4, 1.0, "gray").spread(torch.arange(16).reshape(1, 1, 1, -1))[0, :, 0]
    assert ((state[:, 1:] != state[:, :-1]).sum(0) == 1).all()


class Spy(nn.Module):
    """Remembers what estimates it was shown; says that the data are 0.3."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor | None] = []
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        self.shown.append(cond.get(ESTIMATE))
        return 0.3 * torch.ones_like(x) * self.scale


def test_training_shows_the_first_estimate_to_some_rows() -> None:
    spy = Spy()
    objective = SelfConditioning(Preconditioned(spy, VP(), X0()), Identity(), UniformTimes(), part=0.5)
    objective(Batch(torch.zeros(400, 2)), Stream(0))
    first, second = spy.shown
    assert first is None and second is not None
    missing = second.isnan().all(1)
    assert abs(float(missing.float().mean()) - 0.5) < 0.1
    torch.testing.assert_close(second[~missing], torch.full_like(second[~missing], 0.3))
    assert not second.requires_grad
    spy.shown.clear()
    SelfConditioning(Preconditioned(spy, VP(), X0()), Identity(), UniformTimes(), part=0.0)(
        Batch(torch.zeros(4, 2)), Stream(0)
    )
    assert spy.shown == [None]


def test_sampling_shows_the_step_before() -> None:
    spy = Spy()
    sampler = SelfConditioned(Preconditioned(spy, VP(), X0()))
    grid = torch.tensor([1.0, 0.5, 0.2, 0.0], dtype=torch.float64)
    with torch.no_grad():
        end = simulate(sampler, torch.ones(3, 2), grid, Rng(range(3)))
    first, *later = spy.shown
    assert first is not None and bool(first.isnan().all())  # missing
    assert all(torch.equal(e, torch.full((3, 2), 0.3)) for e in later)  # type: ignore[arg-type]
    assert torch.equal(end, torch.full((3, 2), 0.3))


def test_without_estimate_and_bound_it_is_ddim() -> None:
    problem = exact.gaussian(VP(), 0.3, 0.2)
    x = Rng(range(20)).normal((20, 1), dtype=torch.float64)
    grid = torch.linspace(1, 0, 9, dtype=torch.float64)
    ours = simulate(SelfConditioned(problem.denoiser, bound=1e9, estimate=False), x, grid, Rng(range(20)))
    torch.testing.assert_close(ours, simulate(DDIM(problem.denoiser), x, grid, Rng(range(20))))


def test_asymmetric_times_leave_less_noise() -> None:
    problem = exact.gaussian(VP(), 0.0, 1e-6)
    x = Rng(range(500)).normal((500, 1), dtype=torch.float64)
    grid = torch.tensor([1.0, 0.5], dtype=torch.float64)
    ends = [
        float(simulate(SelfConditioned(problem.denoiser, difference=d), x, grid, Rng(range(500))).std())
        for d in (0.0, 0.5)
    ]
    p, half = VP(), torch.tensor([0.5, 0.25], dtype=torch.float64)
    assert ends[1] / ends[0] == pytest.approx(float(p.sigma(half)[1] / p.sigma(half)[0]), rel=1e-3)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: AnalogBits(0), UsageError, r"bits must lie in 1 \.\. 8, got 0"),
        (lambda: AnalogBits(2, 0.0), UsageError, "scale must be positive"),
        (lambda: AnalogBits(2).spread(torch.full((1, 1, 1, 1), 4)), DataError, r"0 \.\. 3 \(2 bits\), got 4 \.\. 4"),
        (lambda: AnalogBits(2).spread(torch.full((1, 1, 1, 1), -1)), DataError, r"got -1 \.\. -1"),
        (lambda: AnalogBits(2).spread(torch.zeros(1, 1, 1, 1)), DataError, "whole numbers, got torch.float32"),
        (lambda: AnalogBits(2).gather(torch.zeros(1, 3, 1, 1)), DataError, "3 channels are not a multiple of 2 bits"),
        (lambda: ornstein.build("analog-bits", settings={"bits": 9, "size": 8}), UsageError, "bits must lie in"),
        (lambda: SelfConditioned(exact.gaussian(VP()).denoiser, bound=0), UsageError, "bound must be positive"),
        (lambda: SelfConditioned(exact.gaussian(VP()).denoiser, difference=-1), UsageError, "difference, in steps"),
    ],
)
def test_what_cannot_be_meant(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()
