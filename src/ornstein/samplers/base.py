"""A sampler moves a state from time t to time s, earlier unless it says so. One loop, :func:`simulate`, serves them all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Generic

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Distribution
from ornstein.core.errors import CapabilityError, OrnsteinError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.core.state import X, totals
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine, Process
from ornstein.processes.remember import remembering
from ornstein.samplers.levels import coordinates

State = Any
"""What a sampler carries from step to step: a small tuple of tensors, or None. The sampler object itself holds none."""


class Sampler(ABC, Generic[X]):
    """Moves x_t to x_s. Immutable: everything that changes is in the state it returns, so threads may share one."""

    needs: ClassVar[type[Process[Any]]] = Process
    order: ClassVar[int] = 1
    """Order of convergence in the step size (weak order for stochastic samplers); measured in the tests.

    0: the error comes to rest at that of moves within a step, which the grid does not shorten (Langevin moves of a fixed
    size, restarts, a tolerance)."""
    evaluations: ClassVar[int] = 1
    """Network calls per inner step, with the default options; measured in the tests. 0: it depends on the data."""
    stochastic: ClassVar[bool] = False
    history: ClassVar[int] = 0
    """How many former steps a step looks back to; a run's first steps have fewer, and a lower order."""
    linear: ClassVar[bool] = True
    """Whether it is affine in x and in its draws when the denoiser is; False where steps adapt to the state."""
    ascends: bool = False
    """Whether it steps from data to prior, s > t: a learned forward path, one side of a bridge, an inversion."""

    @abstractmethod
    def step(self, x_t: X, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND) -> tuple[X, State]:
        """``t > s`` unless it ascends, both expanded to x's rank; returns x_s and the state for the next step."""

    @property
    def title(self) -> str:
        """What errors call it."""
        return type(self).__name__

    def init(self, x: X, t: Tensor) -> State:
        """The state before the first step."""
        return None

    def start(self) -> float:
        """The time at which sampling starts; below 1 where this method could not take a step from 1."""
        return 1.0


class Transition(Sampler[X]):
    """A sampler whose step draws from a law that it can name, so that a path has a density.

    What objectives over whole paths need of both directions (DiffFlow, Schrödinger bridges, variational bounds).
    """

    stochastic: ClassVar[bool] = True

    @abstractmethod
    def kernel(self, x_t: X, t: Tensor, s: Tensor, cond: Cond = NO_COND) -> Distribution[X]:
        """The law of x_s given x_t."""

    def step(self, x_t: X, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND) -> tuple[X, State]:
        return self.kernel(x_t, t, s, cond).sample(rng), None


class DenoisingSampler(Sampler[X]):
    """A sampler built on a denoiser; construction checks that the denoiser's process has the rung that is needed."""

    single_level: ClassVar[bool] = False
    """Whether it asks an Affine process at which time a noise level is reached: one level for all coordinates."""

    def __init__(self, denoiser: Denoiser[X]):
        if not isinstance(denoiser.process, self.needs):
            raise CapabilityError(
                f"{type(self).__name__} needs a process that is {self.needs.__name__}; "
                f"{type(denoiser.process).__name__} is not. {_would_do(denoiser.process)}"
            )
        if self.single_level and isinstance(denoiser.process, Affine) and coordinates(denoiser.process):
            raise CapabilityError(
                f"{type(self).__name__} needs the time of a noise level; in {type(denoiser.process).__name__} each coordinate "
                "has a level of its own"
            )
        self.denoiser = denoiser

    @property
    def process(self) -> Any:
        """The denoiser's process (of the type that ``needs`` names)."""
        return self.denoiser.process

    def start(self) -> float:
        return float(self.denoiser.process.t_max)


def _would_do(process: Process[Any]) -> str:
    from ornstein.samplers.table import SAMPLERS

    fit = [name for name, cls in SAMPLERS.items() if isinstance(process, cls.needs)]
    return f"Samplers that fit: {', '.join(fit)}." if fit else "No sampler in the table fits it."


@dataclass(frozen=True)
class Step(Generic[X]):
    """What ``on_step`` is told after each step."""

    index: int
    total: int
    t: Tensor
    s: Tensor
    x: X
    state: State


def simulate(
    sampler: Sampler[X],
    x: X,
    grid: Tensor,
    rng: Random,
    cond: Cond = NO_COND,
    on_step: Callable[[Step[X]], None] | None = None,
) -> X:
    """Run a sampler along a grid of times: the only loop. It can be differentiated through.

    Args:
        x: the state at ``grid[0]``, ``[B, ...]``: a tensor, a dict of tensors or Ragged, as the sampler takes it.
        grid: ``[N + 1]`` times in [0, 1], decreasing (increasing for a sampler that ascends), or ``[N + 1, B]`` with one
            grid per sample.
        rng: draws for all steps.
        on_step: called after each step.

    Raises:
        UsageError: the grid has fewer than two times, runs the wrong way, or leaves [0, 1].
        OrnsteinError: a state stopped being finite (names the samples, and the first such step and its times).
    """
    grid = check_grid(grid, ascending=sampler.ascends)
    times = [expand(t, x) for t in grid]
    state = sampler.init(x, times[0])
    total = len(times) - 1
    sums = [totals(x)]  # of each step; read once, at the end, so that no step waits for the device
    with remembering():
        for i, (t, s) in enumerate(pairwise(times)):
            x, state = sampler.step(x, t, s, state, rng, cond)
            sums.append(totals(x))
            if on_step is not None:
                on_step(Step(i, total, t, s, x, state))
    if not bool(sums[-1].isfinite().all()):
        raise _not_finite(sampler, grid, torch.stack(sums).isfinite())
    return x


def _not_finite(sampler: Sampler[X], grid: Tensor, sound: Tensor) -> OrnsteinError:
    """The error of a run whose states after each step, the start included, were finite or not: ``sound [N + 1, B]``."""
    total = len(sound) - 1
    bad = (~sound[-1]).nonzero().flatten().tolist()
    row = bad[0]
    first = int((~sound[:, row]).nonzero()[0])
    times = grid if grid.ndim == 1 else grid[:, row]
    title = sampler.title
    if first == 0:
        return OrnsteinError(f"{title} was started from a state that is not finite in samples {bad[:8]}")
    t, s = float(times[first - 1]), float(times[first])
    hint = "check the weights"
    if first == 1 and not sampler.ascends:
        hint += f", or start below t_max = {t:.4g}"
    return OrnsteinError(
        f"{title} left non-finite values in samples {bad[:8]} at step {first} of {total}, from t = {t:.4g} to "
        f"{s:.4g}: the network's answer there is not finite; {hint}"
    )


def check_grid(grid: Tensor, ascending: bool = False) -> Tensor:
    """A grid as float64, refused unless it decreases (increases, if asked) strictly within [0, 1]."""
    grid = torch.as_tensor(grid, dtype=torch.float64)
    if grid.ndim not in (1, 2) or grid.shape[0] < 2:
        raise UsageError(f"a grid needs at least two times, [N + 1] or [N + 1, B]; got shape {tuple(grid.shape)}")
    if ascending and bool((grid[1:] <= grid[:-1]).any()):
        raise UsageError("this sampler ascends: its grid must increase strictly, from data (t = 0) to noise (t = 1)")
    if not ascending and bool((grid[1:] >= grid[:-1]).any()):
        raise UsageError("a grid of times must decrease strictly, from noise (t = 1) to data (t = 0)")
    if bool((grid < 0).any()) or bool((grid > 1).any()):
        raise UsageError(f"a grid of times must lie in [0, 1]; got {float(grid.min()):.4g} .. {float(grid.max()):.4g}")
    return grid
