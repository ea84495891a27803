"""A generator without an inverse: what a GAN learns."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from ornstein.codecs.base import Codec
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random


@final
class Generator(Codec):
    """z ``[B, width]`` -> x in [-1, 1]; there is no way back. Goodfellow et al. 2014 (1406.2661)."""

    def __init__(self, network: nn.Module, width: int):
        super().__init__()
        if width < 1:
            raise UsageError(f"width, the number of latents, must be at least 1, got {width}")
        self.network, self.width = network, width

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        raise CapabilityError(
            "a generator has no encoder: the state of an image is not known, nor its likelihood. A VAE or a flow has both"
        )

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        if state.ndim != 2 or state.shape[1] != self.width:
            raise UsageError(f"the generator takes [B, {self.width}] latents, got {tuple(state.shape)}")
        return self.network(state)
