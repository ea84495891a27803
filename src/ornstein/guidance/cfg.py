"""Classifier-free guidance."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.branches import Branched


@final
class CFG(Branched):
    r"""E[x_0] = u + scale (c - u), u and c the estimates without and with the condition; scale 1 is plain conditional.

    Linear in x_0, and so the same rule on eps, v or the score; the paper's w is scale - 1. Ho & Salimans 2022, 2207.12598.

    Guidance enlarges the estimate and with it the contrast. ``rescale`` = phi > 0 brings back that share of it, per sample:
    phi x std(c)/std(x) + (1 - phi) x. Lin et al. 2023, 2305.08891, section 3.4, do so to the network's v, which is -x_0 where
    the signal has vanished; here it is x_0 everywhere. (:class:`~ornstein.guidance.rescale.RescaledCFG` takes eps.)
    """

    def __init__(
        self, denoiser: Denoiser, scale: float, interval: tuple[float, float] = (0.0, 1.0), rescale: float = 0.0
    ):
        super().__init__(denoiser, scale, interval)
        if not 0 <= rescale <= 1:
            raise UsageError(f"the share of rescaling must lie in [0, 1], got {rescale}")
        self.rescale = rescale

    def combine(self, x_t: Tensor, t: Tensor, c: Tensor, u: Tensor) -> Tensor:
        strong = u + self.scale * (c - u)
        if not self.rescale:
            return strong
        rest = list(range(1, c.ndim))
        ratio = c.std(rest, keepdim=True) / strong.std(rest, keepdim=True).clamp_min(torch.finfo(c.dtype).tiny)
        return strong * (self.rescale * ratio + 1 - self.rescale)
