"""Pictures as a sequence of tokens: which code of a codebook stands at each place."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from ornstein.codecs.autoencoder import VQAutoencoder
from ornstein.codecs.base import Codec
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random


@final
class VQTokens(Codec):
    """Images <-> int64 ``[B, H W / f^2]`` in ``0 .. codes - 1``, row by row, by a vector-quantising autoencoder.

    With ``summaries`` it takes what the encoder says of the images (a cache of it) in their place.
    """

    separable: ClassVar[bool] = False

    def __init__(self, autoencoder: VQAutoencoder, size: int, summaries: bool = False):
        super().__init__()
        if size % autoencoder.factor:
            raise UsageError(f"size {size} does not divide by {autoencoder.factor}, the autoencoder's factor")
        self.autoencoder, self.side, self.summaries = autoencoder, size // autoencoder.factor, summaries

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        z = x if self.summaries else self.autoencoder.summary(self.autoencoder.floats(x, rng))
        return self.autoencoder.nearest(z).flatten(1)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        codes = self.autoencoder.lookup(state.reshape(-1, self.side, self.side))
        image: Tensor = self.autoencoder.decoder(codes)
        return image.clamp(-1, 1)
