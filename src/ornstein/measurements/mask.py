"""Known and unknown pixels."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.measurement import SVD, Linear


@final
class Mask(Linear, SVD):
    """y = mask x: 1 where x is known, 0 where it is sought (RePaint's polarity). Broadcasts against x.

    Raises:
        UsageError: values other than 0 and 1; everything known, or nothing.
    """

    name = "mask"

    def __init__(self, known: Tensor):
        known = torch.as_tensor(known).double()
        if not bool(((known == 0) | (known == 1)).all()):
            odd = known[(known != 0) & (known != 1)].flatten()[0]
            raise UsageError(f"a mask holds 0 (sought) and 1 (known) only; it also holds {float(odd):g}")
        if bool((known == 1).all()):
            raise UsageError("the mask marks every pixel as known: nothing is left to fill in")
        if bool((known == 0).all()):
            raise UsageError("the mask marks no pixel as known; to draw without a condition, sample")
        self.known = self.values = known

    def __call__(self, x: Tensor) -> Tensor:
        return self.known.to(x) * x

    def adjoint(self, y: Tensor) -> Tensor:
        return self(y)

    @property
    def svd(self) -> SVD:
        return self

    def turn(self, x: Tensor) -> Tensor:
        return x

    def unturn(self, c: Tensor) -> Tensor:
        return c

    def data(self, y: Tensor) -> Tensor:
        return self(y)

    def undata(self, c: Tensor) -> Tensor:
        return self(c)
