"""ParaDiGMS: DDIM's result in fewer rounds, and no sample depends on another."""

from __future__ import annotations

import pytest
import torch

from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.core.rng import Rng
from ornstein.processes import EDM, VP, FlowMatching, GaussianProcess
from ornstein.samplers import DDIM, get, simulate
from ornstein.samplers.paradigms import ParaDiGMS
from ornstein.testing import exact
from ornstein.testing.order import Counting
from samplers.test_adaptive import Broken
from testing.tables import PerCoordinate

ONE = torch.tensor([1.0, 0.0], dtype=torch.float64)
PROCESSES = [VP(), EDM(), FlowMatching()]


def started(process: GaussianProcess, n: int = 5) -> torch.Tensor:
    """From the prior, in the plane."""
    return process.prior((n, 2)).sample(Rng(range(n))).double()


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("window", [1, 5, 24])
def test_tolerance_zero_is_ddim(process: GaussianProcess, window: int) -> None:
    problem, x = exact.gmm8(process, std=0.3), started(process)
    got = simulate(ParaDiGMS(problem.denoiser, 24, window, 0.0), x, ONE, Rng(range(5)))
    wanted = simulate(DDIM(problem.denoiser), x, torch.linspace(1, 0, 25), Rng(range(5)))
    assert torch.allclose(got, wanted, atol=1e-9)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_fewer_rounds_than_steps(process: GaussianProcess) -> None:
    problem, x = exact.gmm8(process, std=0.3), started(process)
    counting = Counting(problem.denoiser)
    got = simulate(ParaDiGMS(counting, 64, 32, 1e-3), x, ONE, Rng(range(5)))
    wanted = simulate(DDIM(problem.denoiser), x, torch.linspace(1, 0, 65), Rng(range(5)))
    assert counting.calls < 40
    assert float((got - wanted).abs().max()) < 0.01


def test_samples_do_not_feel_each_other() -> None:
    problem, x = exact.gmm8(VP(), std=0.3), started(VP())
    sampler = ParaDiGMS(problem.denoiser, 32, 8, 1e-2)
    together = simulate(sampler, x, ONE, Rng(range(5)))
    for i in range(5):
        assert torch.allclose(simulate(sampler, x[i : i + 1], ONE, Rng([i])), together[i : i + 1], atol=1e-9)


def test_conditions_follow_their_samples() -> None:
    problem, x = exact.gmm8(VP(), std=0.3), started(VP())
    cond = {"label": torch.tensor([0, 3, 1, -1, 5])}
    got = simulate(ParaDiGMS(problem.denoiser, 24, 4, 0.0), x, ONE, Rng(range(5)), cond)
    wanted = simulate(DDIM(problem.denoiser), x, torch.linspace(1, 0, 25), Rng(range(5)), cond)
    assert torch.allclose(got, wanted, atol=1e-9)


def test_a_level_for_each_coordinate() -> None:
    problem = exact.gaussian(PerCoordinate(), torch.full((3,), 0.4), 0.25)
    x = torch.ones(2, 3, dtype=torch.float64)
    got = simulate(ParaDiGMS(problem.denoiser, 12, 4, 0.0), x, ONE, Rng(range(2)))
    wanted = simulate(DDIM(problem.denoiser), x, torch.linspace(1, 0, 13), Rng(range(2)))
    assert torch.allclose(got, wanted, atol=1e-9)


def test_bad_input() -> None:
    denoiser = exact.gaussian(VP()).denoiser
    for options, words in (
        ({"tolerance": -1.0}, "tolerance must be >= 0"),
        ({"window": 0}, "window must be at least 1"),
        ({"substeps": 0}, "substeps must be at least 1"),
    ):
        with pytest.raises(UsageError, match=words):
            get("paradigms", options=options)(denoiser)
    with pytest.raises(OrnsteinError, match="sample 1 stopped being finite between t = 1 and 0"):
        simulate(ParaDiGMS(Broken(), window=1), torch.ones(3, 1, dtype=torch.float64), ONE, Rng(range(3)))
