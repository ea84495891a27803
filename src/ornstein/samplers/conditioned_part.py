"""Sampling one part of a joint state given the other: the known part is noised anew at every step."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.around import Around
from ornstein.samplers.base import DenoisingSampler, State


@final
class ConditionedPart(Around):
    r"""Before each step the known part is replaced by a draw of q(y_t | y); the wrapped sampler moves the whole state.

    grad_x log p(x_t | y) ~ grad_x log p(x_t, y_t): exact as the known part's noise goes to 0, which is what a speed
    of its own is for. ``known`` is the whole state with the known part filled in, ``mask`` is True there. CMDE of
    Batzolis et al. 2022. From the time ``release`` on, both parts are denoised together (Sasaki et al. 2021); at 0 the known
    part stays known and is returned as given.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, sampler: DenoisingSampler, known: Tensor, mask: Tensor, release: float = 0.0):
        if not isinstance(sampler.process, GaussianProcess):
            raise UsageError(f"a known part is noised by a Gaussian process, not by {type(sampler.process).__name__}")
        if mask.dtype != torch.bool or not bool(mask.any()) or bool(mask.all()):
            raise UsageError(
                "the mask must be boolean, True where the state is known, and neither everywhere nor nowhere"
            )
        if not 0 <= release <= 1:
            raise UsageError(f"release, the time from which the known part is free, lies in [0, 1], got {release}")
        super().__init__(sampler)
        self.process: GaussianProcess = sampler.process
        self.known, self.mask, self.release = known, mask, release

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        known = self.known.to(x_t).expand_as(x_t)  # of the batch's size, so that every sample has its own noise
        held = self.mask & (t > self.release)
        x_t = torch.where(held, self.process.marginal(known, t).sample(rng), x_t)
        x_s, state = self.sampler.step(x_t, t, s, state, rng, cond)
        return torch.where(held & (s == 0), known, x_s), state
