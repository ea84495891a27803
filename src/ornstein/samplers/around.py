"""A sampler that stands around another."""

from __future__ import annotations

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.samplers.base import Sampler, State


class Around(Sampler[Tensor]):
    """Leaves everything to the sampler inside; what is made of it changes :meth:`step`."""

    def __init__(self, sampler: Sampler[Tensor]):
        self.sampler = sampler

    def init(self, x: Tensor, t: Tensor) -> State:
        return self.sampler.init(x, t)

    @property
    def title(self) -> str:
        return self.sampler.title

    def start(self) -> float:
        return self.sampler.start()

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        return self.sampler.step(x_t, t, s, state, rng, cond)
