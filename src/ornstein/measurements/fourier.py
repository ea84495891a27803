"""Part of an image's Fourier coefficients: magnetic resonance with fewer lines."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.measurement import Linear


@final
class Fourier(Linear):
    """y = mask F x with the orthonormal transform of each channel; y ``[B, C, H, W, 2]``, real and imaginary part."""

    name = "subsampled Fourier transform"

    def __init__(self, known: Tensor):
        known = torch.as_tensor(known).double()
        if known.ndim != 2 or not bool(((known == 0) | (known == 1)).all()) or not bool(known.any()):
            raise UsageError(
                f"a mask of frequencies is [H, W] of 0 and 1 with some 1; got shape {tuple(known.shape)} with "
                f"values {float(known.min()):g} .. {float(known.max()):g}"
            )
        self.known = known

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != self.known.shape:
            raise UsageError(
                f"a mask of {tuple(self.known.shape)} frequencies does not fit images {tuple(x.shape[-2:])}"
            )
        return torch.view_as_real(torch.fft.fft2(x.double(), norm="ortho") * self.known.to(x.device)).to(x)

    def adjoint(self, y: Tensor) -> Tensor:
        spectrum = torch.view_as_complex(y.double().contiguous()) * self.known.to(y.device)
        return torch.fft.ifft2(spectrum, norm="ortho").real.to(y)


def lines(size: tuple[int, int], acceleration: int, middle: int = 4, seed: int = 0) -> Tensor:
    """A mask ``[H, W]`` of whole rows of frequencies: the ``middle`` lowest and random others, H / acceleration in all."""
    h, w = size
    count = h // acceleration if acceleration >= 1 else 0
    if not middle <= count <= h or middle < 1:
        raise UsageError(f"{h} rows at acceleration {acceleration} leave {count} lines, with {middle} in the middle")
    order = torch.fft.fftfreq(h).abs().argsort(stable=True)
    rest = order[middle:][torch.randperm(h - middle, generator=torch.Generator().manual_seed(seed))]
    mask = torch.zeros(h, w, dtype=torch.float64)
    mask[torch.cat([order[:middle], rest[: count - middle]])] = 1
    return mask
