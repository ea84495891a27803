"""Requests at different times share a batch and come out as apart: samplers that need denoisers of their own kind.

Those of the table on plain denoisers are in the conformance suite (``check_times_per_sample``).
"""

from __future__ import annotations

from typing import final

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond, is_missing
from ornstein.core.distributions import Dirac, Score
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.two_time import FlowMapDenoiser
from ornstein.processes import VP, FlowMatching
from ornstein.processes.heavy_tailed import HeavyTailedVE
from ornstein.samplers import FlowMap, simulate
from ornstein.samplers.base import DenoisingSampler
from ornstein.samplers.score_annealing import ScoreAnnealing
from ornstein.samplers.self_conditioned import SelfConditioned


@final
class Recalling(Denoiser):
    """A guess that depends on the state, the time and the estimate that it is shown, 0 where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.process = VP()

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        shown = cond["estimate"]
        known = torch.where(is_missing(shown)[:, None], torch.zeros_like(shown), shown)
        return Dirac(torch.tanh(0.7 * x_t + 0.5 * known - expand(t, x_t)))


@final
class Curved(FlowMapDenoiser):
    """A mean velocity that depends on the state and on both times."""

    def __init__(self) -> None:
        super().__init__()
        self.process = FlowMatching()

    def average(self, x_t: Tensor, t: Tensor, s: Tensor, cond: Cond = NO_COND) -> Tensor:
        return torch.sin(x_t + expand(t, x_t)) - 0.3 * expand(s, x_t)


@final
class Slope(Denoiser):
    """A score alone."""

    def __init__(self) -> None:
        super().__init__()
        self.process = HeavyTailedVE(1.0)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Score:
        return Score(-torch.tanh(x_t) / (1 + expand(t, x_t)))


def samplers() -> dict[str, DenoisingSampler]:
    return {
        "self_conditioned": SelfConditioned(Recalling()),
        "self_conditioned_asymmetric": SelfConditioned(Recalling(), difference=0.5),
        "flow_map": FlowMap(Curved()),
        "score_annealing": ScoreAnnealing(Slope(), inner=2),
    }


NAMES = list(samplers())
GRIDS = [torch.tensor(times, dtype=torch.float64) for times in ([0.9, 0.5, 0.3, 0.1, 0.0], [0.6, 0.55, 0.2, 0.15, 0.0])]


def alone(sampler: DenoisingSampler, i: int) -> Tensor:
    rng = Rng([i])
    return simulate(sampler, rng.normal((1, 3), dtype=torch.float64), GRIDS[i], rng)


@pytest.mark.parametrize("name", NAMES)
def test_each_sample_on_a_grid_of_its_own(name: str) -> None:
    sampler, rng = samplers()[name], Rng(range(2))
    together = simulate(sampler, rng.normal((2, 3), dtype=torch.float64), torch.stack(GRIDS, 1), rng)
    for i in range(2):
        torch.testing.assert_close(together[i : i + 1], alone(sampler, i), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_one_request_begins_while_another_is_under_way(name: str) -> None:
    """The second joins after two steps of the first; then both are stepped as one batch, with their states joined."""
    sampler = samplers()[name]
    rngs = [Rng([i]) for i in range(2)]
    x = [rng.normal((1, 3), dtype=torch.float64) for rng in rngs]
    states = [sampler.init(x[i], GRIDS[i][:1, None]) for i in range(2)]
    for k in range(2):
        t, s = (GRIDS[0][j].reshape(1, 1) for j in (k, k + 1))
        x[0], states[0] = sampler.step(x[0], t, s, states[0], rngs[0])
    both, rng = torch.cat(x), Rng.concat(rngs)
    state = None if states[0] is None else torch.cat(states)
    for k in range(2):
        t, s = (torch.stack([GRIDS[0][j + 2], GRIDS[1][j]])[:, None] for j in (k, k + 1))
        both, state = sampler.step(both, t, s, state, rng)
    torch.testing.assert_close(both[:1], alone(sampler, 0), rtol=1e-6, atol=1e-6)
    rest, left = both[1:], None if state is None else state[1:]
    for k in (2, 3):
        t, s = (GRIDS[1][j].reshape(1, 1) for j in (k, k + 1))
        rest, left = sampler.step(rest, t, s, left, rngs[1])
    torch.testing.assert_close(rest, alone(sampler, 1), rtol=1e-6, atol=1e-6)
