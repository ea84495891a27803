"""The Gaussian variational autoencoder as a codec, with what its bound on the likelihood needs."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from ornstein.codecs.base import Codec, Scale
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian, kl
from ornstein.core.rng import Random
from ornstein.core.shapes import sum_rest

BOUND = 10.0
"""Of the log variance: beyond it exp() decides alone, and overflows in reduced precision."""


@final
class GaussianVAE(Codec):
    r"""q(z | x) = N(mu, diag e^l) of ``encoder(x) = (mu, l)``; p(x | z) = N(``decoder(z)``, sigma_x^2 I), p(z) = N(0, I).

    sigma_x is one learned number. Data are bytes, or floats in [-1, 1] (or whatever range the decoder has); ``decode`` gives
    the decoder's mean, without its noise. Kingma & Welling 2013 (1312.6114).
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.scale = Scale()
        self.log_std = nn.Parameter(torch.zeros(()))

    def posterior(self, x: Tensor) -> Gaussian:
        """q(z | x) of floats."""
        mean, log_var = self.encoder(x).chunk(2, 1)
        return Gaussian(mean, log_var.clamp(-BOUND, BOUND).exp())

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return self.posterior(self.scale.encode(x, rng)).sample(rng)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.decoder(state)

    def log_prob(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) of floats, ``[B]``: -|x - decoder(z)|^2/(2 sigma_x^2) - D log(sigma_x sqrt(2 pi))."""
        square = sum_rest((x - self.decoder(z)) ** 2)
        dims = x[0].numel()
        return -0.5 * square * (-2 * self.log_std).exp() - dims * (self.log_std + 0.5 * math.log(2 * math.pi))

    def divergence(self, q: Gaussian) -> Tensor:
        """KL(q || N(0, I)), ``[B]``."""
        return kl(q, Gaussian(torch.zeros_like(q.mean), torch.ones_like(q.var))).to(q.mean.dtype)

    def evidence(self, x: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        """A draw z ~ q(z | x), and log p(x | z) - log q(z | x), ``[B]`` float64: what a bound on log p(x) adds to log p(z)."""
        q = self.posterior(x)
        z = q.sample(rng)
        return z, self.log_prob(x, z).double() - q.log_prob(z)
