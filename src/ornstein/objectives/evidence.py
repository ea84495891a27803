"""Bounds and values of log p(x) that train codecs: the VAE's evidence bound, the flow's exact likelihood."""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor

from ornstein.codecs.flow import Flow
from ornstein.codecs.vae import GaussianVAE
from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import sum_rest
from ornstein.objectives.followers import Counter

BIN = 2 / 255
"""The distance of two bytes in [-1, 1]."""


def dequantised(x: Tensor, rng: Random) -> Tensor:
    """Bytes with uniform noise of one bin, as floats about [-1, 1]; floats as they are."""
    if x.is_floating_point():
        return x
    if x.dtype != torch.uint8:
        raise DataError(
            f"integers have no density: give bytes (uint8), which get uniform noise, or floats; got {x.dtype}"
        )
    return (x.float() + rng.uniform(x.shape, device=x.device) - 0.5) * BIN - 1


@final
class EvidenceBound:
    r"""-E_q[log p(x|z)] + weight max(KL_i, free) summed over latents i, per coordinate of x. Kingma & Welling 2013.

    Both terms are sums over coordinates before they are divided by their number: a mean of the squares alone would let the
    divergence rule. ``weight`` rises to its value over ``warmup`` calls; ``free`` bits (in nats, per latent, of the batch's
    mean) are not paid for (Kingma et al. 2016).
    """

    def __init__(
        self, codec: GaussianVAE, weight: float = 1.0, free: float = 0.0, warmup: int = 0, calls: Counter | None = None
    ):
        if weight < 0 or free < 0 or warmup < 0:
            raise UsageError(f"weight, free and warmup must be at least 0, got {weight:g}, {free:g} and {warmup}")
        self.codec, self.weight, self.free, self.warmup = codec, weight, free, warmup
        self.calls = calls or Counter()

    def __call__(self, batch: Batch[Any], rng: Random) -> Loss:
        x = dequantised(batch.x, rng)
        q = self.codec.posterior(x)
        error = -self.codec.log_prob(x, q.sample(rng)).mean()
        each = 0.5 * (q.mean**2 + q.var - 1 - q.var.log()).flatten(1).mean(0)
        divergence = each.clamp_min(self.free).sum() if self.free else each.sum()
        weight = self.weight * min(1.0, (self.calls.next() + 1) / self.warmup) if self.warmup else self.weight
        value = (error + weight * divergence) / x[0].numel()
        return Loss(
            value, {"divergence": float(divergence.detach()), "decoder_std": float(self.codec.log_std.detach().exp())}
        )


@final
class ExactLikelihood:
    r"""-log p(x) = -log N(u; 0, I) - log |det du/dx|, per coordinate in nats; bytes are dequantised. Dinh et al. 2016."""

    def __init__(self, codec: Flow):
        self.codec = codec

    def __call__(self, batch: Batch[Any], rng: Random) -> Loss:
        x = dequantised(batch.x, rng)
        u, volume = self.codec.bijection(x)
        log_prob = -0.5 * sum_rest(u.double() ** 2) - 0.5 * u.shape[1] * math.log(2 * math.pi) + volume
        value = -log_prob.mean() / u.shape[1]
        bits = float(value.detach()) / math.log(2)
        return Loss(value.float(), {"bits_per_dim": bits - math.log2(BIN) if not batch.x.is_floating_point() else bits})
