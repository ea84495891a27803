"""Everything is measured, with noise: denoising."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.measurement import SVD, Linear


@final
class Direct(Linear, SVD):
    """y = x."""

    name = "direct view"

    def __init__(self) -> None:
        self.values = torch.ones((), dtype=torch.float64)

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        return y

    @property
    def svd(self) -> SVD:
        return self

    def turn(self, x: Tensor) -> Tensor:
        return x

    def unturn(self, c: Tensor) -> Tensor:
        return c

    def data(self, y: Tensor) -> Tensor:
        return y

    def undata(self, c: Tensor) -> Tensor:
        return c
