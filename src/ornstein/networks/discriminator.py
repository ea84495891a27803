"""A discriminator of whole images: strided convolutions, spectrally normalised, to one number."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ornstein.core.errors import UsageError


@final
class Discriminator(nn.Module):
    """``x [B, C, H, W] -> [B]``: how much like data, without bounds. Every width halves the image.

    Each layer has spectral norm 1, so that the answer changes no faster than the image: Miyato et al. 2018, 1802.05957.
    """

    def __init__(self, *, channels: int, widths: tuple[int, ...] = (32, 64, 128)):
        super().__init__()
        if channels < 1 or not widths or min(widths) < 1:
            raise UsageError(f"a discriminator needs positive channels and widths, got {channels} and {widths}")
        self.channels = channels
        layers, width = [], channels
        for w in widths:
            layers.append(spectral_norm(nn.Conv2d(width, w, 4, stride=2, padding=1)))
            width = w
        self.layers = nn.ModuleList(layers)
        self.mix = spectral_norm(nn.Conv2d(width, width, 3, padding=1))
        self.out = spectral_norm(nn.Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        least = 2 ** len(self.layers)
        if x.ndim != 4 or x.shape[1] != self.channels or min(x.shape[2:]) < least:
            raise UsageError(
                f"this discriminator takes images of {self.channels} channels and at least {least} x {least} pixels, got "
                f"{tuple(x.shape[1:])}"
            )
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        x = F.leaky_relu(self.mix(x), 0.2)
        return self.out(x.sum((2, 3)))[:, 0]
