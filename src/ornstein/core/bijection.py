"""A smooth, invertible map of data to a state of as many coordinates: what a normalising flow is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Bijection(nn.Module, ABC):
    """x <-> u with the logarithm of its volume change. Sums over coordinates are float64."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """u of x's number of coordinates, and log |det du/dx| of each sample, ``[B]``."""

    @abstractmethod
    def inverse(self, u: Tensor) -> Tensor:
        """x of u."""
