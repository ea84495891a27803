"""Two denoisers that see each other's states, as one denoiser of both."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Gaussian, Posterior
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.denoisers.denoiser import Denoiser

OTHER = "other"
"""The condition by which each is told the other's state."""


@final
class Joint(Denoiser):
    r"""E[(a_0, b_0) | a_t, b_t] = (D_a(a_t, t | b_t), D_b(b_t, t | a_t)); the state is ``[B, 2C, ...]``, a first.

    Each state has the noise of the same t. Sasaki et al. 2021, 2104.05358, section 3.
    """

    def __init__(self, first: Denoiser, second: Denoiser):
        super().__init__()
        if type(first.process) is not type(second.process):
            raise CapabilityError(
                f"joint denoising needs one process for both, got {type(first.process).__name__} and "
                f"{type(second.process).__name__}"
            )
        self.first, self.second, self.process = first, second, first.process

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        if x_t.shape[1] % 2:
            raise UsageError(f"a joint state holds two parts of one size, got {x_t.shape[1]} channels")
        a, b = x_t.chunk(2, dim=1)
        first, second = self.first(a, t, {**cond, OTHER: b}), self.second(b, t, {**cond, OTHER: a})
        mean = torch.cat([first.mean, second.mean], 1)
        if isinstance(first, Gaussian) and isinstance(second, Gaussian):
            return Gaussian(mean, torch.cat([p.var.expand_as(p.mean) for p in (first, second)], 1))
        return Dirac(mean)
