"""Denoisers that know the density of noisy data as well: what accepting or rejecting a move needs."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond


@runtime_checkable
class Density(Protocol):
    """A denoiser with an energy: exact problems, energy-based models, products of them."""

    def log_density(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        """log p_t(x_t) up to a constant that may depend on t, ``[B]``."""
        ...
