r"""Edit-based text diffusion: ragged states go through process, objective, ``fit`` and ``simulate``.

For data of Poisson length and independent tokens the counts of each type stay independent Poisson variables, so the
reverse step is known in closed form; nothing in the system makes use of that.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ornstein.core.errors import CapabilityError
from ornstein.core.rng import Rng, Stream
from ornstein.core.state import Ragged
from ornstein.samplers import simulate
from ornstein.training import Engine, OptimizerSpec, Stage, Update, fit
from sketches.draws import Draws
from sketches.edits import ARRIVE, CAPACITY, DEATH, GRID, TYPES, Edits, Pairs, Undo, Words

DATA = 3 * torch.tensor([0.7, 0.2, 0.1])  # the expected count of each type


def test_marginal_is_that_of_the_birth_and_death_chain() -> None:
    """Of six tokens Binomial(6, d) live on and Poisson(ARRIVE (1 - d)) have come, d = exp(-DEATH t)."""
    n, process, t = 4000, Edits(), torch.tensor(0.2).double()
    x_0 = Ragged.pack([[0, 1, 2, 0, 1, 2]] * n, CAPACITY)
    x_t, d = process.marginal(x_0, t).sample(Rng(range(n))), float((-DEATH * t).exp())
    mean, var = 6 * d + ARRIVE * (1 - d), 6 * d * (1 - d) + ARRIVE * (1 - d)
    assert abs(float(x_t.lengths.double().mean()) - mean) < 4 * (var / n) ** 0.5
    assert abs(float(x_t.lengths.double().var()) / var - 1) < 0.1
    step = process.edit(x_0, t.expand(n), Rng(range(n)))
    for i, after in enumerate(step.x_t.tolist()):  # what lives on keeps its order
        assert x_0.tokens[i][step.kept[i]].tolist() == [
            a for a, new in zip(after, step.inserted[i], strict=False) if not new
        ]
    with pytest.raises(CapabilityError, match="Simulated has no known density"):
        process.marginal(x_0, t).log_prob(x_0)


@pytest.fixture(scope="module")
def undo() -> Undo:
    """A trained tagger and filler."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(2 * TYPES + 5, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2 + TYPES)
    )
    sampler, data = Undo(network), Draws(Words(DATA, 256).sample)
    update = Update(Pairs(Edits(), sampler), list(network.parameters()), OptimizerSpec(lr=4e-3))
    fit(network, [Stage("pairs", data, [update], 500)], Engine())
    return sampler


@torch.no_grad()
def test_tagger_and_filler_learn_the_exact_reverse(undo: Undo) -> None:
    x = Words(DATA, 400).sample(Stream(5))
    for t, s in ((GRID[2], GRID[3]), (GRID[5], GRID[6]), (GRID[8], GRID[9])):
        d, old = (-DEATH * (t - s)).exp(), (-DEATH * s).exp()
        at_s, new = DATA * old + ARRIVE / TYPES * (1 - old), ARRIVE / TYPES * (1 - d)
        tag, rate, types = undo.read(x, t, s)
        inserted = (new / (new + d * at_s))[x.tokens]
        gaps = torch.arange(CAPACITY + 1) <= x.lengths.unsqueeze(1)
        deleted = (rate.exp() * gaps).sum(1).mean() / ((1 - d) * at_s.sum())
        assert float((tag.sigmoid() - inserted)[x.mask].abs().mean()) < 0.04
        assert abs(float(deleted) - 1) < 0.15
        assert float((types.softmax(2) - at_s / at_s.sum())[gaps].abs().mean()) < 0.06


@torch.no_grad()
def test_samples_have_the_law_of_the_data(undo: Undo) -> None:
    n, process = 2000, Edits()
    rng = Rng(range(n))
    x = simulate(undo, process.prior((n, CAPACITY)).sample(rng), GRID, rng)
    count = (F.one_hot(x.tokens, TYPES) * x.mask.unsqueeze(2)).sum(1).double()
    share = torch.bincount(x.lengths, minlength=CAPACITY + 1) / n
    law = torch.distributions.Poisson(DATA.sum()).log_prob(torch.arange(CAPACITY + 1.0)).exp()
    assert torch.allclose(count.mean(0).float(), DATA, atol=0.15)
    assert float((share - law).abs().sum()) / 2 < 0.06
    alone = Rng(range(7, 9))  # the same two samples without their batch
    assert simulate(undo, process.prior((2, CAPACITY)).sample(alone), GRID, alone).tolist() == x.tolist()[7:9]
