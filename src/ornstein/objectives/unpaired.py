"""Losses of unpaired translation: two denoisers told of pseudo-pairs, and the two maps that make the pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from ornstein.codecs.base import Codec
from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, mean_rest
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.joint import OTHER
from ornstein.objectives.times import Times

LABEL = "label"
PATIENCE = 2000
"""So many samples may go by without one of a domain; then there are none."""


class _Unpaired:
    """What both players share. A sample's domain is its label, 0 or 1; ``across[d]`` maps domain d to the other."""

    def __init__(self, denoisers: Sequence[Preconditioned], across: Sequence[nn.Module], codec: Codec, times: Times):
        if len(denoisers) != 2 or len(across) != 2:
            raise UsageError(
                f"unpaired translation is between 2 domains, got {len(denoisers)} denoisers and {len(across)} maps"
            )
        self.denoisers, self.across, self.codec, self.times = denoisers, across, codec, times
        self.missed = [0, 0]

    def read(self, batch: Batch, rng: Random) -> tuple[Tensor, Tensor]:
        """The states and their domains.

        Raises:
            DataError: no labels or others than 0 and 1, or a domain that has no samples.
        """
        label = batch.cond.get(LABEL)
        if label is None or not bool(((label == 0) | (label == 1)).all()):
            raise DataError(
                "unpaired translation is between two domains: give data of two classes, such as a folder of two folders"
            )
        for d in (0, 1):
            self.missed[d] = 0 if bool((label == d).any()) else self.missed[d] + len(batch)
            if self.missed[d] >= PATIENCE:
                raise DataError(
                    f"the last {self.missed[d]} samples held none of domain {d}: it is empty, or far smaller than the other; "
                    "give both about as many"
                )
        with torch.no_grad():
            return self.codec.encode(batch.x, rng), label

    def errors(self, domain: Tensor, x_0: Tensor, other: Tensor, t: Tensor, rng: Random) -> Tensor:
        """|out - target|^2 of each row's own denoiser, ``[B]``: both states are noised to the same t, each by its own noise."""
        process = self.denoisers[0].process
        x_t, other_t = process.marginal(x_0, t).sample(rng), process.marginal(other, t).sample(rng)
        out = by_domain([_told(d) for d in self.denoisers], domain, x_t, t, other_t)
        target = self.denoisers[0].parametrization.target(process, x_0, x_t, t)
        return mean_rest((out - target) ** 2)

    def drawn_times(self, x_0: Tensor, rng: Random) -> Tensor:
        return expand(self.times(rng, len(x_0)).to(x_0.device), x_0)


@final
class Paired(_Unpaired):
    r"""The denoisers' loss: |eps - eps_d(x_t, y_t, t)|^2, x of domain d, y = g(x) held fixed. Sasaki et al. 2021, eq. 8."""

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        x_0, domain = self.read(batch, rng)
        t = self.drawn_times(x_0, rng)
        with torch.no_grad():
            other = by_domain(self.across, domain, x_0)
        error = self.errors(domain, x_0, other, t, rng)
        return Loss(error.mean(), levels=(t.detach().reshape(-1), error.detach()))


@final
class Crossing(_Unpaired):
    r"""The maps' loss: |eps - eps_d(x_t, y_t)|^2 + |eps - eps_d'(y_t, x_t)|^2 + cycle |g'(y) - x|_1, y = g(x) of domain d'.

    Gradients go through the denoisers, whose own weights are another player's. Sasaki et al. 2021, eq. 9 and 10.
    """

    def __init__(
        self,
        denoisers: Sequence[Preconditioned],
        across: Sequence[nn.Module],
        codec: Codec,
        times: Times,
        cycle: float = 10.0,
    ):
        super().__init__(denoisers, across, codec, times)
        if not cycle >= 0:
            raise UsageError(f"the weight of the cycle loss must be at least 0, got {cycle}")
        self.cycle = cycle

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        x_0, domain = self.read(batch, rng)
        y = by_domain(self.across, domain, x_0)
        back = by_domain(self.across, 1 - domain, y)
        here = self.errors(domain, x_0, y, self.drawn_times(x_0, rng), rng).mean()
        there = self.errors(1 - domain, y, x_0, self.drawn_times(x_0, rng), rng).mean()
        apart = (back - x_0).abs().mean()
        return Loss(here + there + self.cycle * apart, {"cycle": float(apart.detach())})


def by_domain(functions: Sequence[Callable[..., Tensor]], domain: Tensor, *inputs: Tensor) -> Tensor:
    """Row i of the answer is ``functions[domain[i]]`` of row i of the inputs; each is called once, on its rows."""
    out = torch.zeros_like(inputs[0])
    for d, function in enumerate(functions):
        rows = (domain == d).nonzero().flatten()
        if len(rows):
            out = out.index_copy(0, rows, function(*(value[rows] for value in inputs)))
    return out


def _told(denoiser: Preconditioned) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda x_t, t, other_t: denoiser.output(x_t, t, {OTHER: other_t})
