"""Colour images of which only the grey value is known."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.measurement import SVD, Linear

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, what PIL's mode L and most grey pictures are."""


@final
class Grey(Linear, SVD):
    """y = sum_c w_c x_c, ``[B, 1, ...]``. The basis is an orthonormal one of colours whose first direction is w."""

    name = "grey value"

    def __init__(self, weights: tuple[float, ...] = LUMA):
        w = torch.tensor(weights, dtype=torch.float64)
        if len(w) < 2 or float(w.norm()) == 0:
            raise UsageError(f"a grey value mixes at least two channels, got the weights {weights}")
        q, _ = torch.linalg.qr(torch.cat([w[:, None], torch.eye(len(w), dtype=torch.float64)[:, 1:]], 1))
        self._basis = (q * torch.sign(q[:, 0] @ w)).T
        self.weights = w
        self.values = torch.zeros(len(w), dtype=torch.float64)
        self.values[0] = w.norm()

    def _require(self, x: Tensor) -> None:
        if x.shape[1] != len(self.weights):
            raise UsageError(
                f"a grey value of {len(self.weights)} channels does not fit {x.shape[1]}; colourising needs a model of colours"
            )

    def __call__(self, x: Tensor) -> Tensor:
        self._require(x)
        return torch.einsum("c,bc...->b...", self.weights.to(x), x).unsqueeze(1)

    def adjoint(self, y: Tensor) -> Tensor:
        return torch.einsum("c,b...->bc...", self.weights.to(y), y[:, 0])

    @property
    def svd(self) -> SVD:
        return self

    def kept(self, like: Tensor) -> tuple[Tensor, Tensor]:
        s, kept = super().kept(like)
        shape = (-1, *[1] * (like.ndim - 2))
        return s.reshape(shape), kept.reshape(shape)

    def turn(self, x: Tensor) -> Tensor:
        self._require(x)
        return torch.einsum("dc,bc...->bd...", self._basis.to(x), x)

    def unturn(self, c: Tensor) -> Tensor:
        return torch.einsum("dc,bd...->bc...", self._basis.to(c), c)

    def data(self, y: Tensor) -> Tensor:
        return torch.cat([y, y.new_zeros(y.shape[0], len(self.weights) - 1, *y.shape[2:])], 1)

    def undata(self, c: Tensor) -> Tensor:
        return c[:, :1]
