"""The convolutional encoder, decoder and patch critic of latent diffusion's autoencoders. Rombach et al. 2022."""

from __future__ import annotations

from itertools import pairwise
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.networks.layers.blocks import SelfAttention, conv
from ornstein.networks.layers.norm import GroupNorm

EPS = 1e-6


@final
class _Residual(nn.Module):
    """skip(x) + conv(silu(norm(conv(silu(norm(x))))))."""

    def __init__(self, inside: int, outside: int):
        super().__init__()
        self.norm0, self.conv0 = GroupNorm(inside, eps=EPS), conv(inside, outside, 3)
        self.norm1, self.conv1 = GroupNorm(outside, eps=EPS), conv(outside, outside, 3)
        self.skip = conv(inside, outside, 1) if inside != outside else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv0(F.silu(self.norm0(x)))
        y = self.conv1(F.silu(self.norm1(y)))
        return y + (x if self.skip is None else self.skip(x))


@final
class _Half(nn.Module):
    """Half the size by a strided convolution that looks right and down, as the published weights do."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


@final
class _Double(nn.Module):
    """Twice the size: nearest neighbours, then a convolution."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = conv(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


def _middle(width: int) -> list[nn.Module]:
    return [_Residual(width, width), SelfAttention(width, 0, 1.0), _Residual(width, width)]


def _check(widths: tuple[int, ...], blocks: int) -> None:
    if not widths or min(widths) < 1 or blocks < 1:
        raise UsageError(f"widths must hold positive widths and blocks be at least 1, got {widths} and {blocks}")


@final
class Encoder(nn.Module):
    """``[B, C, H, W] -> [B, out, H/f, W/f]``, f = 2^(levels - 1); attention at the coarsest level."""

    def __init__(self, *, channels: int, out: int, widths: tuple[int, ...] = (128, 256, 512, 512), blocks: int = 2):
        super().__init__()
        _check(widths, blocks)
        layers: list[nn.Module] = [conv(channels, widths[0], 3)]
        width = widths[0]
        for level, w in enumerate(widths):
            for _ in range(blocks):
                layers.append(_Residual(width, w))
                width = w
            if level < len(widths) - 1:
                layers.append(_Half(width))
        layers += [*_middle(width), GroupNorm(width, eps=EPS), nn.SiLU(), conv(width, out, 3), conv(out, out, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).float()


@final
class Decoder(nn.Module):
    """``[B, Z, h, w] -> [B, C, f h, f w]``; ``last`` is the convolution that makes the image."""

    def __init__(self, *, channels: int, latents: int, widths: tuple[int, ...] = (128, 256, 512, 512), blocks: int = 2):
        super().__init__()
        _check(widths, blocks)
        width = widths[-1]
        layers: list[nn.Module] = [conv(latents, latents, 1), conv(latents, width, 3), *_middle(width)]
        for level, w in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                layers.append(_Residual(width, w))
                width = w
            if level > 0:
                layers.append(_Double(width))
        self.layers = nn.Sequential(*layers, GroupNorm(width, eps=EPS), nn.SiLU())
        self.last = conv(width, channels, 3)

    def forward(self, z: Tensor) -> Tensor:
        return self.last(self.layers(z)).float()


@final
class PatchCritic(nn.Module):
    """``[B, C, H, W] -> [B, 1, h, w]``: one judgement for each patch. Isola et al. 2017 (1611.07004).

    Groups are normalised in place of batches, so that no image is judged by its neighbours; layers that keep the size have
    3 x 3 kernels, so that small pictures are judged too.
    """

    def __init__(self, *, channels: int, width: int = 64, layers: int = 3):
        super().__init__()
        if width < 1 or layers < 1:
            raise UsageError(f"a critic's width and layers must be at least 1, got {width} and {layers}")
        widths = [width * min(2**i, 8) for i in range(layers + 1)]
        parts: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i, (a, b) in enumerate(pairwise(widths)):
            kernel, stride = (4, 2) if i < layers - 1 else (3, 1)
            parts += [nn.Conv2d(a, b, kernel, stride, 1, bias=False), GroupNorm(b), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
