"""Autoencoders whose state is a small picture of latents: what latent diffusion runs in. Rombach et al. 2022 (2112.10752)."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import torch
from torch import Tensor, nn

from ornstein.codecs.base import Codec, Scale
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import sum_rest

LOG_VAR = (-30.0, 20.0)


class Autoencoder(Codec):
    """Images, bytes or floats in [-1, 1] -> latents ``[B, Z, H/f, W/f]`` times ``scale``; ``decode`` clamps to [-1, 1].

    What is kept of an image (:meth:`summary`) and what is drawn from it (:meth:`draw`) are separate, so that summaries can be
    cached while every epoch still draws anew. ``scale`` is saved with the weights: latents of another scale decode to noise.
    """

    scale: Tensor

    def __init__(self, encoder: nn.Module, decoder: nn.Module, factor: int):
        super().__init__()
        self.encoder, self.decoder, self.factor = encoder, decoder, factor
        self.pixels = Scale()
        self.register_buffer("scale", torch.ones(()))

    @abstractmethod
    def summary(self, x: Tensor) -> Tensor:
        """All that the encoder says of images in [-1, 1], ``[B, .., H/f, W/f]``; a function of the image alone."""

    @abstractmethod
    def draw(self, summary: Tensor, rng: Random) -> Tensor:
        """Latents, not scaled."""

    @abstractmethod
    def std(self, summary: Tensor) -> Tensor:
        """The standard deviation of the latents of many images, over all coordinates."""

    @abstractmethod
    def reconstruct(self, x: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        """x through encoder and decoder, not clamped, and the regulariser of each image, ``[B]``."""

    def floats(self, x: Tensor, rng: Random) -> Tensor:
        """Images in [-1, 1]; refuses sizes that do not divide by the factor."""
        if x.shape[-1] % self.factor or x.shape[-2] % self.factor:
            raise DataError(
                f"images of {x.shape[-2]} x {x.shape[-1]} do not divide by {self.factor}, the autoencoder's factor: resize them"
            )
        return self.pixels.encode(x, rng)

    @torch.no_grad()
    def set_scale(self, summary: Tensor) -> None:
        """Make latents of unit standard deviation: scale = 1 / std.

        Raises:
            DataError: the latents do not vary, or are not finite.
        """
        std = self.std(summary)
        if not bool(torch.isfinite(std)) or float(std) < 1e-8:
            raise DataError(
                f"latents of standard deviation {float(std):.3g} have no scale: train the autoencoder longer"
            )
        self.scale.copy_(1 / std)

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return self.draw(self.summary(self.floats(x, rng)), rng) * self.scale

    def image(self, latents: Tensor) -> Tensor:
        """The decoder's image of latents that are not scaled."""
        return self.decoder(latents)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.image(state / self.scale).clamp(-1, 1)


@final
class KLAutoencoder(Autoencoder):
    r"""q(z | x) = N(mu, diag e^l) of ``encoder(x) = (mu, l)``; the regulariser is its KL divergence from N(0, I)."""

    def posterior(self, summary: Tensor) -> Gaussian:
        """q(z | x)."""
        mean, log_var = summary.chunk(2, 1)
        return Gaussian(mean, log_var.clamp(*LOG_VAR).exp())

    def summary(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def draw(self, summary: Tensor, rng: Random) -> Tensor:
        return self.posterior(summary).sample(rng)

    def std(self, summary: Tensor) -> Tensor:
        q = self.posterior(summary)
        return (q.mean.var(correction=0) + q.var.mean()).sqrt()

    def reconstruct(self, x: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        q = self.posterior(self.summary(x))
        divergence = 0.5 * sum_rest(q.mean**2 + q.var - 1 - q.var.log())
        return self.image(q.sample(rng)), divergence


@final
class VQAutoencoder(Autoencoder):
    r"""z_q = the nearest of ``codes`` vectors at each place; the regulariser is |sg(z) - z_q|^2 + beta |z - sg(z_q)|^2.

    Gradients pass the quantiser as if it were not there. It belongs to the decoder: the state is the encoder's z before it, so
    a draw that lies between codes is put onto one. The regulariser is a mean over latents times the number of pixels, so that
    its weight is what it is beside a mean over pixels. van den Oord et al. 2017 (1711.00937); Esser et al. 2021.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, factor: int, codes: int, width: int, commitment: float = 0.25
    ):
        super().__init__(encoder, decoder, factor)
        if codes < 2 or width < 1:
            raise UsageError(f"a codebook needs at least 2 codes of at least 1 number, got {codes} of {width}")
        self.commitment = commitment
        self.codebook = nn.Parameter(torch.empty(codes, width).uniform_(-1 / codes, 1 / codes))

    def nearest(self, z: Tensor) -> Tensor:
        """Index of the nearest code at each place, ``[B, H, W]``."""
        flat = z.movedim(1, -1).reshape(-1, z.shape[1])
        codes = self.codebook
        distance = codes.square().sum(1) - 2 * flat @ codes.T  # |z|^2 is the same for all
        return distance.argmin(1).reshape(z.shape[0], *z.shape[2:])

    def lookup(self, index: Tensor) -> Tensor:
        """Codes at the places of ``index [B, H, W]``: ``[B, Z, H, W]``.

        Raises:
            DataError: an index beyond the codebook.
        """
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= len(self.codebook):
            raise DataError(
                f"code {low if low < 0 else high} is out of range: the codebook has 0 .. {len(self.codebook) - 1}"
            )
        return self.codebook[index].movedim(-1, 1)

    def image(self, latents: Tensor) -> Tensor:
        return self.decoder(self.lookup(self.nearest(latents)))

    def summary(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def draw(self, summary: Tensor, rng: Random) -> Tensor:
        return summary

    def std(self, summary: Tensor) -> Tensor:
        return summary.std(correction=0)

    def reconstruct(self, x: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        z = self.summary(x)
        code = self.lookup(self.nearest(z.detach()))
        towards = (code - z.detach()) ** 2 + self.commitment * (z - code.detach()) ** 2
        return self.decoder(z + (code - z).detach()), towards.flatten(1).mean(1) * x[0].numel()


@final
class Summaries(Codec):
    """The codec of a cache of summaries: ``encode`` draws and scales, ``decode`` is the autoencoder's."""

    def __init__(self, autoencoder: Autoencoder):
        super().__init__()
        self.autoencoder = autoencoder

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return self.autoencoder.draw(x, rng) * self.autoencoder.scale

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.autoencoder.decode(state, cond)
