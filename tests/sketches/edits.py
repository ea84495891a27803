"""A system of edits: a process on sequences that only simulates, a tagger and filler that undo it, and their objective.

After Reid et al. 2022 (DiffusER). Forward, each token dies at rate DEATH and uniform tokens arrive at rate DEATH * ARRIVE,
at uniform places. The tagger (was this token inserted?) and the filler (what was deleted in this gap?) learn to undo
one step of the chain from pairs (x_s, x_t).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Distribution
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import per_sample
from ornstein.core.state import Ragged
from ornstein.processes import Process
from ornstein.samplers import Sampler
from ornstein.samplers.base import State

CAPACITY, TYPES, MOST = 16, 3, 6  # MOST: insertions into one gap in one step
DEATH, ARRIVE = 5.0, 4.0
GRID = torch.linspace(1, 0, 13, dtype=torch.float64) ** 1.5
SLOTS = torch.arange(CAPACITY)


def poisson(mean: Tensor, rng: Random) -> Tensor:
    """Counts of these means, one uniform each whatever the count, so that every row draws alike."""
    u = rng.uniform(mean.shape, dtype=torch.float64).unsqueeze(-1)
    return (u > torch.special.gammaincc(SLOTS + 1.0, mean.double().unsqueeze(-1))).sum(-1)


def compact(tokens: Tensor, alive: Tensor) -> Ragged:
    """The living tokens in their order, pushed to the left."""
    order = (~alive).long().argsort(dim=1, stable=True)[:, :CAPACITY]
    lengths = alive.sum(1).clamp(max=CAPACITY)
    return Ragged(tokens.gather(1, order) * (lengths.unsqueeze(1) > SLOTS), lengths)


class Words(Distribution[Ragged]):
    """Independent Poisson counts of each type, ``means [K]``, in random order."""

    def __init__(self, means: Tensor, batch: int):
        self.means, self.batch = means, batch

    def sample(self, rng: Random) -> Ragged:
        length = poisson(self.means.sum().expand(self.batch), rng)
        types = rng.categorical(self.means.log().expand(self.batch, CAPACITY, TYPES))
        return compact(types, length.unsqueeze(1) > SLOTS)


class Edited(NamedTuple):
    """One forward step and what it did: x_t's new tokens, x_s's that stayed, the gap of x_t in which each lies."""

    x_t: Ragged
    inserted: Tensor
    kept: Tensor
    gap: Tensor


class Edits(Process[Ragged]):
    """Deletions and insertions at constant rates."""

    def prior(self, shape: Sequence[int]) -> Words:
        return Words(torch.full((TYPES,), ARRIVE / TYPES), shape[0])

    def edit(self, x_s: Ragged, h: Tensor, rng: Random) -> Edited:
        """The chain after a further time ``h [B]``: places in (0, 1) are drawn for all tokens, then merged by place."""
        shape, stay = x_s.tokens.shape, (-DEATH * h).exp()
        kept = x_s.mask & (rng.uniform(shape) < stay.unsqueeze(1))
        fresh = torch.minimum(poisson(ARRIVE * (1 - stay), rng), CAPACITY - kept.sum(1)).unsqueeze(1)
        place = rng.uniform(shape).masked_fill(~x_s.mask, torch.inf).sort(1).values
        new = rng.uniform(shape).masked_fill(fresh <= SLOTS, torch.inf)
        places, order = torch.cat([place.masked_fill(~kept, torch.inf), new], 1).sort(dim=1, stable=True)
        tokens = torch.cat([x_s.tokens, rng.integers(TYPES, shape)], 1).gather(1, order)
        x_t = compact(tokens, places.isfinite())
        return Edited(x_t, (order >= CAPACITY)[:, :CAPACITY] & x_t.mask, kept, torch.searchsorted(places, place))

    def marginal(self, x_0: Ragged, t: Tensor) -> Distribution[Ragged]:
        return Simulated(self, x_0, t)


class Simulated(Distribution[Ragged]):
    """q(x_t | x_0), known by simulation alone: four steps of edits."""

    def __init__(self, process: Edits, x_0: Ragged, t: Tensor):
        self.process, self.x_0, self.t = process, x_0, per_sample(t, len(x_0))

    def sample(self, rng: Random) -> Ragged:
        x = self.x_0
        for _ in range(4):
            x = self.process.edit(x, self.t / 4, rng).x_t
        return x


class Undo(Sampler[Ragged]):
    """Tagger and filler in one network over windows of two tokens: slot j is token j and the gap before it."""

    def __init__(self, network: nn.Module):
        self.network = network

    def read(self, x_t: Ragged, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits that a token was inserted ``[B, C]``, log rates of the gaps ``[B, C + 1]``, their types' logits."""
        window = F.pad(torch.where(x_t.mask, x_t.tokens, TYPES), (1, 1), value=TYPES).unfold(1, 2, 1)
        rest = torch.stack([per_sample(t, len(x_t)), per_sample(s, len(x_t)), (x_t.lengths + 1.0).log()], 1).float()
        rest = rest.unsqueeze(1).expand(-1, CAPACITY + 1, -1)
        out = self.network(torch.cat([F.one_hot(window, TYPES + 1).flatten(2).float(), rest], -1))
        return out[:, :-1, 0], out[..., 1], out[..., 2:]

    def step(
        self, x_t: Ragged, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Ragged, State]:
        tag, rate, types = self.read(x_t, t, s)
        stays = x_t.mask & (rng.uniform(tag.shape) >= tag.sigmoid())
        gaps = torch.arange(CAPACITY + 1) <= x_t.lengths.unsqueeze(1)
        counts = poisson(rate.exp() * gaps, rng).unsqueeze(2)
        fill = rng.categorical(types.unsqueeze(2).expand(-1, -1, MOST, -1))
        tokens = torch.cat([fill, F.pad(x_t.tokens, (0, 1)).unsqueeze(2)], 2)
        alive = torch.cat([torch.arange(MOST) < counts, F.pad(stays, (0, 1)).unsqueeze(2)], 2)
        return compact(tokens.flatten(1), alive.flatten(1)), None


class Pairs:
    """Likelihood of the edits that lead from x_t back to x_s, at neighbouring times of the grid."""

    def __init__(self, process: Edits, undo: Undo):
        self.process, self.undo = process, undo

    def __call__(self, batch: Batch[Ragged], rng: Random) -> Loss:
        k = rng.integers(len(GRID) - 1, (len(batch),))
        t, s = GRID[k], GRID[k + 1]
        x_s = self.process.marginal(batch.x, s).sample(rng)
        x_t, inserted, kept, gap = self.process.edit(x_s, t - s, rng)
        tag, rate, types = self.undo.read(x_t, t, s)
        lost = x_s.mask & ~kept
        where = gap.masked_fill(~lost, 0)
        counts = torch.zeros_like(rate).scatter_add(1, where, lost.float())
        gaps = torch.arange(CAPACITY + 1) <= x_t.lengths.unsqueeze(1)
        tagging = F.binary_cross_entropy_with_logits(tag, inserted.float(), reduction="none") * x_t.mask
        filling = (rate.exp() - counts * rate) * gaps
        named = types.log_softmax(2).gather(1, where.unsqueeze(2).expand(-1, -1, TYPES))
        naming = -named.gather(2, x_s.tokens.unsqueeze(2)).squeeze(2) * lost
        return Loss((tagging.sum(1) + filling.sum(1) + naming.sum(1)).mean())
