"""Orthonormal bases of images: cosines, and Haar's bands. Diffusion in them may treat fine and coarse parts differently."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ornstein.codecs.base import Codec, Scale
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random


@lru_cache(maxsize=16)
def cosines(n: int) -> Tensor:
    """The orthonormal DCT-II as a matrix ``[n, n]`` float64: row k is the cosine of frequency k."""
    k, i = torch.arange(n, dtype=torch.float64, device="cpu")[:, None], torch.arange(n, device="cpu")
    table = math.sqrt(2 / n) * torch.cos(math.pi * k * (2 * i + 1) / (2 * n))
    table[0] /= math.sqrt(2)
    return table


def dct(x: Tensor) -> Tensor:
    """``[..., H, W]`` -> cosine coefficients of the same shape; orthonormal."""
    rows, columns = (cosines(n).to(device=x.device, dtype=x.dtype) for n in x.shape[-2:])
    return rows @ x @ columns.T


def idct(c: Tensor) -> Tensor:
    """The inverse of :func:`dct`."""
    rows, columns = (cosines(n).to(device=c.device, dtype=c.dtype) for n in c.shape[-2:])
    return rows.T @ c @ columns


def haar(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` -> ``[B, 4C, H/2, W/2]``: the coarse band, then the three fine ones; orthonormal."""
    if x.shape[-1] % 2 or x.shape[-2] % 2:
        raise UsageError(
            f"Haar's bands need even height and width, got {x.shape[-2]} x {x.shape[-1]}: resize the images"
        )
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    return torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2


def ihaar(bands: Tensor) -> Tensor:
    """The inverse of :func:`haar`."""
    p, q, r, s = bands.chunk(4, 1)
    n, c, h, w = p.shape
    x = torch.stack([p + q + r + s, p - q + r - s, p + q - r - s, p - q - r + s], -1) / 2
    return x.reshape(n, c, h, w, 2, 2).permute(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)


@final
class Cosines(Codec):
    """Images <-> their cosine coefficients, after scaling to [-1, 1]."""

    separable: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.pixels = Scale()

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return dct(self.pixels.encode(x, rng, cond))

    def log_volume(self, x: Tensor) -> Tensor:
        return self.pixels.log_volume(x)  # an orthonormal basis leaves volumes alone

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.pixels.decode(idct(state), cond)


@final
class Haar(Codec):
    """Images <-> Haar's bands, after scaling to [-1, 1]."""

    separable: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.pixels = Scale()

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return haar(self.pixels.encode(x, rng, cond))

    def log_volume(self, x: Tensor) -> Tensor:
        return self.pixels.log_volume(x)  # an orthonormal basis leaves volumes alone

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.pixels.decode(ihaar(state), cond)

    def data_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[0] // 4, 2 * shape[1], 2 * shape[2]


@final
class InPixels(nn.Module):
    """A network of images for a state of cosine coefficients: it is shown pixels, and its output is taken back."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        return dct(self.network(idct(x), t, cond))
