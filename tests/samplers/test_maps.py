"""Learned jumps with exact maps in the place of networks, and the grids that they step on."""

from __future__ import annotations

from typing import final

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Posterior
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.two_time import FlowMapDenoiser
from ornstein.processes import EDM, FlowMatching
from ornstein.samplers import FlowMap, Heun, Renoise, get, simulate
from ornstein.samplers.grids import even, even_karras, karras
from ornstein.testing import exact

MEAN, STD = 0.7, 0.5


@final
class ExactMap(FlowMapDenoiser):
    """The flow of N(MEAN, STD^2) by its two ends: x_s = m_s + (x_t - m_t) s_s/s_t."""

    def __init__(self) -> None:
        super().__init__()
        self.process = FlowMatching()

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return (1 - t) * MEAN, ((1 - t) ** 2 * STD**2 + t**2).sqrt()

    def average(self, x_t: Tensor, t: Tensor, s: Tensor, cond: Cond = NO_COND) -> Tensor:
        t, s = expand(t, x_t), expand(s, x_t)
        (m_t, s_t), (m_s, s_s) = self.at(t), self.at(s)
        jump = (x_t - m_s - (x_t - m_t) * s_s / s_t) / torch.where(t > s, t - s, 1.0)
        rate = (t - (1 - t) * STD**2) / s_t
        return torch.where(t > s, jump, -MEAN + (x_t - m_t) * rate / s_t)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_an_exact_flow_map_is_exact_in_any_number_of_steps(steps: int) -> None:
    x = Rng(range(50)).normal((50, 1), dtype=torch.float64)
    end = simulate(FlowMap(ExactMap()), x, even(FlowMatching(), steps), Rng(range(50)))
    torch.testing.assert_close(end, MEAN + STD * x, rtol=0, atol=1e-12)


def test_its_diagonal_is_a_denoiser() -> None:
    """u(x, t, t) is the velocity, and through it the posterior mean that the exact problem has."""
    problem = exact.gaussian(FlowMatching(), MEAN, STD**2)
    x = Rng(range(20)).normal((20, 1), dtype=torch.float64)
    for t in (0.1, 0.5, 0.9):
        time = expand(t, x)
        torch.testing.assert_close(ExactMap()(x, time).mean, problem.posterior(x, time).mean, rtol=1e-10, atol=1e-10)


def test_a_flow_map_needs_one() -> None:
    problem = exact.gaussian(FlowMatching(), MEAN, STD**2)
    with pytest.raises(CapabilityError, match=r"knows mean velocities \(meanflow, shortcut\)"):
        FlowMap(problem.denoiser)


def test_only_trained_jumps_are_made() -> None:
    x = torch.zeros(2, 1, dtype=torch.float64)
    sampler = FlowMap(ExactMap(), dyadic=True)
    simulate(sampler, x, even(FlowMatching(), 4), Rng(range(2)))
    with pytest.raises(UsageError, match="the number of steps must be a power of two"):
        simulate(sampler, x, even(FlowMatching(), 3), Rng(range(2)))
    with pytest.raises(UsageError, match=r"from 1 to 0\.5|from 0\.75 to 0\.25"):
        simulate(sampler, x, torch.tensor([0.75, 0.25, 0.0], dtype=torch.float64), Rng(range(2)))


@final
class Draw(Denoiser):
    """A consistency function of N(MEAN, STD^2) with its boundary at sigma_min: a linear map of x_t."""

    def __init__(self, process: EDM):
        super().__init__()
        self.process = process

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        sigma = self.process.sigma(expand(t, x_t))
        var = STD**2 + self.process.sigma_min**2
        return Dirac(MEAN + (x_t - MEAN) * (var / (STD**2 + sigma**2)).sqrt())


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_renoising_keeps_the_law(steps: int) -> None:
    """With an exact consistency function every number of jumps ends in the data's law at sigma_min."""
    process = EDM()
    n = 40_000
    x = process.prior((n, 1)).sample(Rng(range(n))).double()
    end = simulate(Renoise(Draw(process)), x, even_karras(process, steps), Rng(range(n, 2 * n)))
    assert abs(float(end.mean()) - MEAN) < 5 * STD / n**0.5 + 1e-3
    assert abs(float(end.std()) - STD) < 5 * STD / (2 * n) ** 0.5 + 1e-3


def test_grids_without_a_stop_at_the_last_level() -> None:
    process = FlowMatching()
    torch.testing.assert_close(even(process, 4), torch.tensor([1, 0.75, 0.5, 0.25, 0], dtype=torch.float64))
    levels = even_karras(EDM(), 3)
    torch.testing.assert_close(levels[:-1], karras(EDM(), 4)[:3])
    assert levels[-1] == 0 and len(levels) == 4


def test_learned_samplers_have_names() -> None:
    assert get("flow_map").kind is FlowMap and get("renoise").kind is Renoise
    assert get("heun").kind is Heun
    with pytest.raises(UsageError, match="sampler 'flow_map' has no option 'dyadik': did you mean 'dyadic'"):
        get("flow_map", options={"dyadik": True})
