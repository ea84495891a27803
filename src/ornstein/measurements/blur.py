"""Blur by any kernel, motion included: a convolution on the torus, diagonal in Fourier space."""

from __future__ import annotations

import math
import warnings
from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.measurement import Linear, rank_of


@final
class Blur(Linear):
    """y = kernel * x over the last two dimensions, edges wrapped around; ``kernel [h, w]``, its middle at (h//2, w//2).

    Warns where the kernel's sum is not 1, which brightens or darkens.
    """

    name = "blur"

    def __init__(self, kernel: Tensor):
        kernel = torch.as_tensor(kernel, dtype=torch.float64)
        if kernel.ndim != 2 or not bool(kernel.isfinite().all()):
            raise UsageError(f"a blur's kernel is a finite matrix [h, w], got shape {tuple(kernel.shape)}")
        if abs(float(kernel.sum()) - 1) > 1e-3:
            warnings.warn(
                f"the blur's kernel sums to {float(kernel.sum()):.4g}, not to 1: it changes the brightness",
                stacklevel=2,
            )
        self.kernel = kernel

    def _response(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        kh, kw = self.kernel.shape
        if kh > h or kw > w:
            raise UsageError(f"a blur of {kh} x {kw} does not fit images of {h} x {w}")
        padded = torch.zeros(h, w, dtype=torch.float64)
        padded[:kh, :kw] = self.kernel
        return torch.fft.rfft2(padded.roll((-(kh // 2), -(kw // 2)), (0, 1))).to(x.device)

    def _filter(self, x: Tensor, response: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x.double()) * response, s=x.shape[-2:]).to(x)

    def __call__(self, x: Tensor) -> Tensor:
        return self._filter(x, self._response(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self._filter(y, self._response(y).conj())

    def normal_solve(self, y: Tensor, signal: Tensor | float, noise: Tensor | float) -> Tensor:
        power = self._response(y).abs() ** 2
        whole = rank_of(signal, y).double() * power + rank_of(noise, y).double()
        return self._filter(y, torch.where(whole > 1e-6, 1 / whole.clamp_min(1e-6), 0.0))

    def estimate(self, y: Tensor) -> Tensor:
        k = self._response(y)
        return self._filter(y, torch.where(k.abs() > 1e-3, k.conj() / (k.abs() ** 2).clamp_min(1e-6), 0.0))


def motion(length: int, degrees: float) -> Tensor:
    """A kernel ``[length, length]`` (odd) of a straight motion: a line through the middle, anti-aliased, of sum 1."""
    if length < 3 or length % 2 == 0:
        raise UsageError(f"a motion's length is an odd number of pixels >= 3, got {length}")
    out, half = torch.zeros(length, length, dtype=torch.float64), length // 2
    for r in torch.linspace(-half, half, 8 * length).tolist():
        y, x = half - r * math.sin(math.radians(degrees)), half + r * math.cos(math.radians(degrees))
        i, j = min(int(y), length - 2), min(int(x), length - 2)
        fy, fx = y - i, x - j
        out[i : i + 2, j : j + 2] += torch.tensor(
            [[(1 - fy) * (1 - fx), (1 - fy) * fx], [fy * (1 - fx), fy * fx]], dtype=torch.float64
        )
    return out / out.sum()
