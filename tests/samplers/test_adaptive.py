"""Solvers with a tolerance: the error follows it, samples do not feel each other, and bad input is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.core.errors import CapabilityError, OrnsteinError, UsageError
from ornstein.core.rng import Rng
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes import EDM, VE, VP, FlowMatching, GaussianProcess
from ornstein.samplers import SAMPLERS, get, simulate
from ornstein.samplers.tolerance import Tolerance
from ornstein.testing import exact
from ornstein.testing.order import Counting
from testing.tables import PerCoordinate

ENDS = torch.tensor([0.9, 0.1], dtype=torch.float64)
PROCESSES = [VP(), VE(), EDM(), FlowMatching()]


def run(name: str, denoiser: Denoiser, x: Tensor, grid: Tensor = ENDS, **options: Any) -> Tensor:
    """From x down the grid."""
    return simulate(get(name, options=options)(denoiser), x, grid, Rng(range(len(x))))


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize(
    ("name", "options"), [("adaptive_rk", {}), ("dpm_adaptive", {}), ("dpm_adaptive", {"pair": "12"})]
)
def test_the_error_follows_the_tolerance(name: str, options: dict[str, Any], process: GaussianProcess) -> None:
    problem = exact.gaussian(process, 0.7, 0.25)
    x = problem.process.marginal(problem.sample(Rng(range(6)), 6), torch.tensor(0.9)).sample(Rng(range(6))).double()
    wanted = problem.flow(x, 0.9, 0.1)
    errors, calls = [], []
    for tolerance in (1e-2, 1e-4, 1e-6):
        counting = Counting(problem.denoiser)
        got = run(name, counting, x, tolerance=tolerance, absolute=tolerance, **options)
        errors.append(float((got - wanted).abs().max() / (1 + wanted.abs().max())))
        calls.append(counting.calls)
    assert all(error < 10 * tolerance for error, tolerance in zip(errors, (1e-2, 1e-4, 1e-6), strict=True)), errors
    assert errors[2] < errors[0] / 10
    assert calls[0] <= calls[1] < calls[2]


def test_one_long_step_is_as_good_as_many() -> None:
    problem = exact.gaussian(VP(), 0.7, 0.25)
    x = torch.linspace(-2, 2, 5, dtype=torch.float64).reshape(5, 1)
    long = run("adaptive_rk", problem.denoiser, x, tolerance=1e-8)
    short = run("adaptive_rk", problem.denoiser, x, torch.linspace(0.9, 0.1, 20), tolerance=1e-8)
    assert torch.allclose(long, short, atol=1e-6)


@pytest.mark.parametrize("name", ["adaptive_rk", "dpm_adaptive"])
@pytest.mark.parametrize("option", ["tolerance", "absolute"])
@pytest.mark.parametrize("value", [0.0, -1e-3, float("nan")])
def test_a_tolerance_is_positive(name: str, option: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{option} must be > 0"):
        get(name, options={option: value})(exact.gaussian(VP()).denoiser)


class Broken(Denoiser):
    """NaN below t = 0.5, in one row."""

    def __init__(self) -> None:
        super().__init__()
        self.process = EDM(sigma_max=1.0)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        rows = torch.arange(len(x_t)).reshape(-1, 1) == 1
        return Dirac(torch.where((t < 0.5) & rows, torch.nan, 0.9 * x_t))


@pytest.mark.parametrize("name", ["adaptive_rk", "dpm_adaptive"])
def test_nan_ends_the_search_for_a_step(name: str) -> None:
    with pytest.raises(OrnsteinError, match=r"sample 1 stopped being finite between .* and .*not finite"):
        run(name, Broken(), torch.ones(3, 1, dtype=torch.float64))


def test_it_gives_up() -> None:
    def restless(x: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return x, torch.ones_like(x)

    zero, one = torch.zeros(2, 1, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    with pytest.raises(OrnsteinError, match=r"tolerance 0\.001 was not met in 50 attempts"):
        Tolerance(1e-3, 1e-3, attempts=50).integrate(restless, one, one, zero, one / 3, 3)


def test_levels_of_each_coordinate_have_no_time() -> None:
    problem = exact.gaussian(PerCoordinate(), torch.zeros(3), 1.0)
    with pytest.raises(CapabilityError, match="DPMAdaptive needs the time of a noise level; in PerCoordinate"):
        SAMPLERS["dpm_adaptive"](problem.denoiser)
