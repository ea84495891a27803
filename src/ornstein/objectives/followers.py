"""Modules that training keeps beside the trained ones: copies that follow, and counters. A checkpoint holds them."""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar, final

import torch
from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.loss import Loss, Objective
from ornstein.core.rng import Random

M_co = TypeVar("M_co", covariant=True, bound=nn.Module)


@final
class Follower(nn.Module, Generic[M_co]):
    r"""A frozen copy of a module that follows it: w <- rate w + (1 - rate) theta, from the module's weights at the
    first call.

    ``rate`` 0 is the module itself, one step behind: the stop-gradient copy of consistency training. Buffers are
    copied.
    """

    copy: M_co
    ready: Tensor
    seen: Tensor

    def __init__(self, module: M_co):
        super().__init__()
        self.copy = copy.deepcopy(module).requires_grad_(False)
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def follow(self, module: nn.Module, rate: float) -> None:
        """One step towards the module."""
        if not bool(self.ready):
            self.take(module)
            return
        ours, theirs = ([p.detach() for p in m.parameters()] for m in (self.copy, module))
        torch._foreach_lerp_(ours, theirs, 1 - rate)
        for mine, its in zip(self.copy.buffers(), module.buffers(), strict=True):
            mine.copy_(its)

    def average(self, module: nn.Module, batch: int, half_life: float, ramp: float = 0.05) -> None:
        """One step of the average that training keeps: its half-life in samples, short while the model is young."""
        self.seen += batch
        self.follow(module, 0.5 ** (batch / min(half_life, ramp * float(self.seen))))

    @torch.no_grad()
    def take(self, module: nn.Module) -> None:
        """The module's weights, now."""
        self.copy.load_state_dict(module.state_dict())
        self.ready.fill_(True)


@final
class Counter(nn.Module):
    """How often an objective was called: what a curriculum goes by. It is saved, so that a resumed run goes on with it."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def next(self) -> int:
        """The number of calls before this one."""
        k = int(self.count)
        self.count += 1
        return k


@final
class Averaged:
    """An objective at whose every call a follower takes in the module's weights: a teacher for the stage to come."""

    def __init__(self, objective: Objective, follower: Follower[nn.Module], module: nn.Module, half_life: float):
        self.objective, self.follower, self.module, self.half_life = objective, follower, module, half_life

    def __call__(self, batch: Batch[Any], rng: Random) -> Loss:
        self.follower.average(self.module, len(batch), self.half_life)
        return self.objective(batch, rng)
