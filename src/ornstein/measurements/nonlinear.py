"""Operators that are not linear: rounding, JPEG, phase retrieval, a clipped exposure. States lie in [-1, 1]."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.measurement import Operator


@final
class Quantise(Operator):
    """y = x rounded to ``levels`` equally spaced values of [-1, 1]."""

    differentiable: ClassVar[bool] = False
    name = "quantisation"

    def __init__(self, levels: int):
        if levels < 2:
            raise UsageError(f"quantisation needs at least 2 levels, got {levels}")
        self.levels = levels

    def __call__(self, x: Tensor) -> Tensor:
        top = self.levels - 1
        return ((x.clamp(-1, 1) + 1) / 2 * top).round() / top * 2 - 1

    def estimate(self, y: Tensor) -> Tensor:
        return y


_LUMINANCE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float64,
)  # fmt: skip
"""The table of annex K of the JPEG standard (ITU-T T.81), for every channel here."""


@final
class JPEG(Operator):
    """y = x after the lossy part of JPEG at ``quality`` 1 .. 100: blocks of 8 x 8, their cosine transform rounded.

    Every channel is treated as luminance, without subsampling; entropy coding loses nothing and is left out. Sizes that 8
    does not divide are padded by their edge.
    """

    differentiable: ClassVar[bool] = False
    name = "JPEG"

    def __init__(self, quality: int):
        if not 1 <= quality <= 100:
            raise UsageError(f"the quality of JPEG lies in 1 .. 100, got {quality}")
        scale = 5000 / quality if quality < 50 else 200 - 2 * quality
        self.table = ((_LUMINANCE * scale + 50) / 100).floor().clamp(1, 255)
        n = torch.arange(8, dtype=torch.float64)
        self.dct = torch.cos(math.pi / 8 * (n[None, :] + 0.5) * n[:, None]) * math.sqrt(2 / 8)
        self.dct[0] /= math.sqrt(2)

    def __call__(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        bytes_ = (x.double().clamp(-1, 1) + 1) * 127.5 - 128
        flat = F.pad(bytes_.reshape(-1, 1, h, w), (0, -w % 8, 0, -h % 8), mode="replicate")
        n, _, hh, ww = flat.shape
        blocks = flat.reshape(n, hh // 8, 8, ww // 8, 8).transpose(2, 3)
        d, table = self.dct.to(x.device), self.table.to(x.device)
        kept = (d @ blocks @ d.T / table).round() * table
        back = (d.T @ kept @ d).transpose(2, 3).reshape(n, hh, ww)[:, :h, :w]
        return ((back + 128) / 127.5 - 1).clamp(-1, 1).reshape(x.shape).to(x)

    def estimate(self, y: Tensor) -> Tensor:
        return y


@final
class PhaseRetrieval(Operator):
    """y = |F pad(x)|: the sizes of the Fourier coefficients of an image framed by zeros, without their phases."""

    name = "phase retrieval"

    def __init__(self, oversampling: float = 2.0):
        if not oversampling >= 1:
            raise UsageError(f"phase retrieval needs oversampling >= 1, got {oversampling}")
        self.oversampling = oversampling

    def __call__(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        top, left = (round((self.oversampling - 1) / 2 * n) for n in (h, w))
        framed = F.pad((x.double() + 1) / 2, (left, left, top, top))
        spectrum = torch.fft.fft2(framed, norm="ortho")
        # Not abs(): its derivative at 0 is not finite.
        return (spectrum.real**2 + spectrum.imag**2 + 1e-12).sqrt().to(x)

    def estimate(self, y: Tensor) -> Tensor:
        h, w = (round(n / (1 + 2 * (self.oversampling - 1) / 2)) for n in y.shape[-2:])
        return y.new_zeros(*y.shape[:-2], h, w)


@final
class ClippedExposure(Operator):
    """y = clip(gain x, -1, 1): an over-exposed picture, from which the range is sought."""

    name = "clipped exposure"

    def __init__(self, gain: float = 2.0):
        if not gain > 0:
            raise UsageError(f"the gain of an exposure must be positive, got {gain}")
        self.gain = gain

    def __call__(self, x: Tensor) -> Tensor:
        return (self.gain * x).clamp(-1, 1)

    def estimate(self, y: Tensor) -> Tensor:
        return y / self.gain
