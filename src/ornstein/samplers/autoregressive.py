"""Steps of a short chain, each drawn token by token."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.token_by_token import TokenByToken
from ornstein.processes.categorical import CategoricalProcess
from ornstein.samplers.base import DenoisingSampler, State


@final
class Autoregressive(DenoisingSampler):
    """x_{n-1} ~ prod_i p_n(x_{n-1}^i | x_{n-1}^{<i}, x_n), one step of the chain at a time. Esser et al. 2021 (2108.08827)."""

    needs = CategoricalProcess
    order: ClassVar[int] = 0
    stochastic: ClassVar[bool] = True
    linear: ClassVar[bool] = False

    def __init__(self, denoiser: Denoiser):
        super().__init__(denoiser)
        if not isinstance(denoiser, TokenByToken):
            raise CapabilityError(
                f"autoregressive needs a chain that was learned token by token (imagebart); {type(denoiser).__name__} is none. "
                "Take ancestral, or leave guidance at 1"
            )
        self.chain = denoiser

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        n = self.chain.number(t, x_t)
        after = per_sample(s, len(x_t)).double() * self.chain.steps
        if bool((after - (n - 1)).abs().max() > 1e-6):
            raise UsageError(
                f"a step from t = {float(t.max()):.4g} to {float(s.max()):.4g} was not learned: take steps={self.chain.steps}, "
                "those of the chain"
            )
        with torch.no_grad():
            return self.chain.law(x_t, n, cond).sample(rng), None
