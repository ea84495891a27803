"""Few-step samplers on the exact consistency function of Gaussian data."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes import EDM, VE, VP, FlowMatching, GaussianProcess
from ornstein.samplers import DDIM, TCD, get, simulate
from ornstein.testing import exact
from ornstein.testing.exact.gaussian import GaussianProblem
from ornstein.testing.order import exact_law, sampled_law

PROCESSES: list[GaussianProcess] = [VP(), VE(), EDM(), FlowMatching()]


class FlowEnd(Denoiser):
    """f(x_t, t): where the probability flow from x_t ends."""

    def __init__(self, problem: GaussianProblem):
        super().__init__()
        self.problem, self.process = problem, problem.process

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        return Dirac(self.problem.flow(x_t, t, 0.0))


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("times", [[0.9, 0.0], [0.9, 0.5, 0.0], [0.9, 0.7, 0.4, 0.2, 0.05]])
def test_the_law_is_exact_on_every_grid(process: GaussianProcess, times: list[float]) -> None:
    problem = exact.gaussian(process, 0.7, 0.25)
    grid = torch.tensor(times, dtype=torch.float64)
    law = sampled_law(TCD(FlowEnd(problem), 1.0), problem, grid)
    assert law.distance(exact_law(problem, times[-1])) < 1e-9


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_tcd_lies_between_ddim_and_lcm(process: GaussianProcess) -> None:
    problem = exact.gaussian(process, 0.7, 0.25)
    grid = torch.tensor([0.9, 0.6, 0.3, 0.0], dtype=torch.float64)
    x = torch.linspace(-1, 1, 4, dtype=torch.float64).reshape(4, 1)
    ends = [
        simulate(sampler, x, grid, Rng(range(4)))
        for sampler in (TCD(FlowEnd(problem), 1.0), get("LCM")(FlowEnd(problem)), TCD(FlowEnd(problem), 0.0))
    ]
    assert torch.allclose(ends[0], ends[1], atol=1e-12)
    assert torch.allclose(ends[2], simulate(DDIM(FlowEnd(problem)), x, grid, Rng(range(4))), atol=1e-12)


def test_tcd_adds_the_noise_that_leads_back_to_s() -> None:
    process = VP()
    problem = exact.gaussian(process, 0.0, 0.0)  # all data at 0: the end of every flow, so x_s ~ N(0, sigma_s^2)
    grid = torch.tensor([0.9, 0.5], dtype=torch.float64)
    for gamma in (0.0, 0.3, 1.0):
        law = sampled_law(TCD(FlowEnd(problem), gamma), problem, grid)
        assert law.distance(exact_law(problem, 0.5)) < 1e-9


def test_names_and_bad_input() -> None:
    denoiser = exact.gaussian(VP()).denoiser
    for spelling, gamma in (("LCM", 1.0), ("LCMScheduler", 1.0), ("tcd", 0.3), ("TCDScheduler", 0.3)):
        sampler = get(spelling)(denoiser)
        assert isinstance(sampler, TCD) and sampler.gamma == gamma
    with pytest.raises(UsageError, match="gamma, the share of noise made anew"):
        TCD(denoiser, 1.5)
