"""DiffFlow (Zhang & Chen 2021): the forward path is learned too, and the loss is the KL over whole paths.

Two learned samplers with tractable step laws, one ascending, and an objective that simulates the first and prices its
path under both. In one dimension the model's density follows by quadrature, so the bound has an exact counterpart.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian
from ornstein.core.loss import Loss
from ornstein.core.rng import Random, Rng, Stream
from ornstein.core.shapes import cast, expand, per_sample
from ornstein.networks import MLP
from ornstein.processes import VP
from ornstein.samplers import Transition, simulate
from ornstein.testing import exact
from ornstein.training import Engine, OptimizerSpec, Stage, Update, fit
from sketches.draws import Draws

DATA = exact.mixture(VP(), [0.6, 0.4], [[-1.2], [1.0]], 0.3**2)
UP = torch.linspace(0, 1, 7, dtype=torch.float64) ** 2
PRIOR = Gaussian(torch.zeros(1), torch.ones(()))
RATE = 6.0


class Drifting(Transition):
    r"""N(a (x_t + m), (1 - a^2) exp(2 r)), a = exp(-RATE |t - s|/2), with m and r from a network; OU where it gives 0."""

    def __init__(self, network: nn.Module, ascends: bool):
        self.network, self.ascends = network, ascends

    def kernel(self, x_t: Tensor, t: Tensor, s: Tensor, cond: Cond = NO_COND) -> Gaussian:
        shift, log_std = self.network(x_t, 1000 * per_sample(t, len(x_t)).float(), cond).chunk(2, 1)
        a, var = cast(x_t, (-RATE / 2 * (t - s).abs()).exp(), -torch.expm1(-RATE * (t - s).abs()))
        return Gaussian(a * (x_t + shift), var * (2 * log_std).exp())


def log_ratios(forward: Transition, backward: Transition, x_0: Tensor, rng: Random) -> Tensor:
    r"""log p(x_N) + sum_k log b(x_{k-1} | x_k) - log f(x_k | x_{k-1}) along one forward path from each x_0, ``[B]``."""
    path = [x_0]
    x_1 = simulate(forward, x_0, UP, rng, on_step=lambda step: path.append(step.x))
    total = PRIOR.log_prob(x_1)
    for (x, y), (t, s) in zip(pairwise(path), pairwise(expand(u, x_0) for u in UP), strict=True):
        total = total + backward.kernel(y, s, t).log_prob(x) - forward.kernel(x, t, s).log_prob(y)
    return total


def path_objective(forward: Transition, backward: Transition, batch: Batch, rng: Random) -> Loss:
    """The negative bound: KL of the forward path law to the backward one, up to the data's entropy."""
    return Loss(-log_ratios(forward, backward, batch.x, rng).mean())


def density(backward: Transition, at: Tensor) -> Tensor:
    """log p_model(x_0) of the backward chain by the trapezoid rule, one step after another."""
    z = torch.linspace(-6, 6, 801, dtype=torch.float32).unsqueeze(1)
    log = PRIOR.log_prob(z)
    for t, s in pairwise(UP.flip(0)):
        to = z if s > 0 else at
        law = backward.kernel(z, expand(t, z), expand(s, z))
        pairs = Gaussian(law.mean.repeat(len(to), 1), law.var.repeat(len(to), 1))
        step = pairs.log_prob(to.repeat_interleave(len(z), 0)).reshape(len(to), len(z))
        log = (step + log).logsumexp(1) + (z[1] - z[0]).log()
    return log


@pytest.fixture(scope="module")
def trained() -> tuple[Transition, Transition, float]:
    """Both directions after training, and the mean bound before it."""
    torch.manual_seed(0)
    players = nn.ModuleList(MLP(size=1, out_size=2, width=32, depth=2) for _ in range(2))
    forward, backward = Drifting(players[0], ascends=True), Drifting(players[1], ascends=False)
    with torch.no_grad():
        before = float(log_ratios(forward, backward, DATA.sample(Stream(2), 4000).float(), Stream(3)).mean())
    data = Draws(lambda rng: DATA.sample(rng, 256).float())
    update = Update(partial(path_objective, forward, backward), list(players.parameters()), OptimizerSpec(lr=4e-3))
    fit(players, [Stage("both", data, [update], 350)], Engine())
    return forward, backward, before


@torch.no_grad()
def test_the_bound_approaches_the_exact_likelihood(trained: tuple[Transition, Transition, float]) -> None:
    forward, backward, before = trained
    x_0 = DATA.sample(Rng(range(1500)), 1500).float()
    data, model = DATA.log_prob(x_0), density(backward, x_0)
    bound = log_ratios(forward, backward, x_0, Rng(range(1500)))
    assert float(data.mean()) - before > 0.5  # untrained
    # bound <= model <= data on average, each within its sampling error, and the whole gap is small.
    for low, high in ((bound, model), (model, data)):
        gap = high - low
        assert -4 * float(gap.std()) / len(gap) ** 0.5 < float(gap.mean()) < 0.05


@torch.no_grad()
def test_path_densities_are_exact(trained: tuple[Transition, Transition, float]) -> None:
    r"""E over forward paths of exp(log ratio) is p_model(x_0) whatever the forward path: both kernels name their laws."""
    forward, backward, _ = trained
    x_0 = torch.tensor([[-1.2], [0.0], [0.8]])
    ratios = log_ratios(forward, backward, x_0.repeat_interleave(4000, 0), Stream(4)).exp().reshape(3, -1)
    error = 5 * ratios.std(1) / ratios.shape[1] ** 0.5
    assert bool(((ratios.mean(1) - density(backward, x_0).exp()).abs() < error).all())
