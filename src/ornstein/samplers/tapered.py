"""Adams-Bashforth steps whose order falls towards the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.samplers.adams import AdamsBashforth
from ornstein.samplers.base import DenoisingSampler, State


@final
class Tapered(DenoisingSampler):
    """A multistep sampler for ``steps`` steps: the last is of order ``orders[0]`` at most, the one before it of ``orders[1]``.

    With few steps the last ones cross a wide range of noise levels, where a polynomial through older values strays.
    ``DPM-Solver`` lowers its orders so (Lu et al. 2022, 2206.00927), and diffusers does with fewer than 15 steps.
    State: the number of steps done, and the sampler's own.

    Raises:
        UsageError: ``steps`` or one of ``orders`` is below 1.
    """

    def __init__(self, sampler: AdamsBashforth, steps: int, orders: Sequence[int] = (1, 2)):
        super().__init__(sampler.denoiser)
        if steps < 1 or not orders or min(orders) < 1:
            raise UsageError(f"a tapered sampler needs steps and orders of at least 1, got {steps} and {list(orders)}")
        self.sampler, self.steps, self.orders = sampler, steps, tuple(orders)

    @property
    def title(self) -> str:
        return f"Tapered {self.sampler.title}"

    def start(self) -> float:
        return self.sampler.start()

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        done, former = state or (0, ())
        left = max(self.steps - done - 1, 0)
        if left < len(self.orders):
            former = (former or ())[: self.orders[left] - 1]
        x_s, former = self.sampler.step(x_t, t, s, former, rng, cond)
        return x_s, (done + 1, former)
