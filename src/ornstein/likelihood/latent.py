"""The bound of a variational autoencoder whose latents are standard normal."""

from __future__ import annotations

import math
from typing import Protocol, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError
from ornstein.core.rng import Random
from ornstein.core.shapes import sum_rest
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.standard_normal import StandardNormal
from ornstein.likelihood.base import Estimator


class Evidence(Protocol):
    """What a codec must tell: a draw z ~ q(z | x), and log p(x | z) - log q(z | x)."""

    def evidence(self, x: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        """``[B, ...]`` and ``[B]`` float64."""


@final
class LatentBound(Estimator):
    r"""E_q[log p(x | z) + log p(z) - log q(z | x)] <= log p(x), p(z) = N(0, I); K draws under ``importance`` are IWAE-K.

    Its state is the data themselves. Kingma & Welling 2013; Burda et al. 2016 (1509.00519).
    """

    def __init__(self, denoiser: Denoiser, codec: Evidence):
        super().__init__(denoiser)
        if not isinstance(denoiser, StandardNormal):
            raise CapabilityError(
                "the evidence bound is for latents whose law is N(0, I), and these have a learned one"
            )
        self.codec = codec

    def weighs(self, x: Tensor) -> bool:
        return True

    def draws(self, x: Tensor, rng: Random, cond: Cond = NO_COND, repeats: int = 1) -> Tensor:
        out = []
        for _ in range(repeats):
            z, ratio = self.codec.evidence(x, rng)
            out.append(ratio - 0.5 * sum_rest(z.double() ** 2) - 0.5 * z[0].numel() * math.log(2 * math.pi))
        return torch.stack(out)
