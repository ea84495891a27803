"""Flights, the samples of a job that move together, and lanes, the flights whose next step is one call of a sampler."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from ornstein.core import cond as conditions
from ornstein.core.errors import OrnsteinError
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.core.state import totals
from ornstein.processes.remember import remembering
from ornstein.serving import trees
from ornstein.serving.job import Job
from ornstein.serving.plans import Model, Plan


class Flight:
    """Some samples of a job between two steps: all that a sampler needs to go on, in whatever company."""

    def __init__(self, job: Job, model: Model, plan: Plan, first: int, seeds: Sequence[int], cond: dict[str, Tensor]):
        self.job, self.model, self.plan, self.first = job, model, plan, first
        self.seeds, self.cond = list(seeds), cond
        self.alone = False
        self.begin()

    def begin(self) -> None:
        """To the start: the first state, drawn from the seeds."""
        system = self.model.system
        with torch.no_grad():
            self.rng = Rng(self.seeds)
            self.x = system.begin(self.rng, self.plan.times).to(system.device)
            self.state: Any = self.plan.move.init(self.x, expand(self.plan.times[0], self.x))
        self.index = 0
        self.guess: Tensor | None = None

    @property
    def rows(self) -> int:
        """How many samples."""
        return len(self.seeds)

    @property
    def steps(self) -> int:
        """Of the whole way."""
        return len(self.plan.times) - 1

    @property
    def landed(self) -> bool:
        """Whether all steps are made."""
        return self.index == self.steps

    def shows(self, index: int) -> bool:
        """Whether a preview belongs to the state after ``index`` steps."""
        every = self.job.request.preview_every
        return every > 0 and (index % every == 0 or index == self.steps)

    @property
    def kind(self) -> Hashable:
        """Flights of equal kind may share a lane."""
        if self.alone:
            return id(self)
        told = tuple(sorted((k, str(v.dtype), v.shape[1:]) for k, v in self.cond.items()))
        return self.model.name, self.plan.kind, told, self.x.dtype, trees.structure(self.state, self.rows)

    def decoded(self) -> Tensor:
        """The data, once landed.

        Raises:
            OrnsteinError: a state is not finite.
        """
        bad = (~totals(self.x).isfinite()).nonzero().flatten().tolist()
        if bad:
            name = type(self.plan.move).__name__
            raise OrnsteinError(
                f"{name} left non-finite values in the samples of seeds {[self.seeds[i] for i in bad][:8]} after "
                f"{self.steps} steps: check the weights, or take more steps or less guidance"
            )
        with torch.no_grad():
            return self.model.system.codec.decode(self.x, self.cond).cpu()

    def preview(self) -> Tensor:
        """A quick look: E[x_0] at the last step, or the state where it is not known."""
        with torch.no_grad():
            shown = self.x if self.guess is None else self.guess
            return self.model.system.codec.preview(shown, self.cond).cpu()


def lanes(flights: Sequence[Flight]) -> list[list[Flight]]:
    """Flights by kind, in order."""
    groups: dict[Hashable, list[Flight]] = {}
    for flight in flights:
        groups.setdefault(flight.kind, []).append(flight)
    return list(groups.values())


def advance(lane: Sequence[Flight]) -> None:
    """One step of all flights of a lane, as one call of the sampler with a time for each sample.

    Nothing is written to the flights before the step is made, but their generators have moved on.
    """
    plan, sizes = lane[0].plan, [f.rows for f in lane]
    ends = {(float(f.plan.times[f.index]), float(f.plan.times[f.index + 1])) for f in lane}
    alone = len(lane) == 1
    x = lane[0].x if alone else torch.cat([f.x for f in lane])
    if len(ends) == 1:  # times that all share are said once, and processes remember what they answer
        ((high, low),) = ends
        t, s = expand(high, x), expand(low, x)
    else:
        t, s = (expand(_each([f.plan.times[f.index + k] for f in lane], sizes), x) for k in (0, 1))
    state = lane[0].state if alone else trees.join([f.state for f in lane], sizes, x.ndim)
    cond = lane[0].cond if alone else conditions.cat([f.cond for f in lane])
    guess = plan.guess
    guess.mean, guess.wanted = None, any(f.shows(f.index + 1) for f in lane)
    with torch.no_grad(), remembering():
        x, state = plan.move.step(x, t, s, state, Rng.concat([f.rng for f in lane]), cond)
    mean = guess.mean if guess.mean is not None and guess.mean.shape == x.shape else None
    guess.mean = None
    states = [state] if alone else trees.split(state, sizes)
    for flight, part, own, seen in zip(
        lane,
        x.split(sizes),
        states,
        [None] * len(lane) if mean is None else mean.split(sizes),
        strict=True,
    ):
        flight.x, flight.state, flight.guess = part, own, seen
        flight.index += 1


def _each(times: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    return torch.stack(list(times)).repeat_interleave(torch.tensor(list(sizes)))
