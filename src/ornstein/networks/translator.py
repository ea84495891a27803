"""A residual convolutional network from picture to picture of the same size: what an unpaired translation learns to map by."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.errors import UsageError


class _Residual(nn.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(_conv(width, width, 3), *_normed(width), _conv(width, width, 3), _norm(width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


@final
class Translator(nn.Module):
    """``[B, C, H, W]`` to ``[B, C, H, W]`` in [-1, 1]: halved ``halvings`` times, ``blocks`` residual blocks, and back.

    Instance norm and reflected edges throughout. H and W must be multiples of 2^halvings. Johnson et al. 2016, as Zhu et al.
    2017 (1703.10593) use it: width 64, 2 halvings, 6 blocks at 128 pixels.
    """

    def __init__(self, channels: int, width: int = 64, halvings: int = 2, blocks: int = 6):
        super().__init__()
        if channels < 1 or width < 1 or halvings < 0 or blocks < 1:
            raise UsageError(
                f"a translator needs channels, width and blocks >= 1 and halvings >= 0, got {channels}, {width}, {blocks} and "
                f"{halvings}"
            )
        self.halvings = halvings
        layers: list[nn.Module] = [_conv(channels, width, 5), *_normed(width)]
        for i in range(halvings):
            layers += [_conv(width << i, width << (i + 1), 3, stride=2), *_normed(width << (i + 1))]
        layers += [_Residual(width << halvings) for _ in range(blocks)]
        for i in reversed(range(halvings)):
            layers += [nn.Upsample(scale_factor=2), _conv(width << (i + 1), width << i, 3), *_normed(width << i)]
        self.body = nn.Sequential(*layers, _conv(width, channels, 5))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2] % 2**self.halvings or x.shape[-1] % 2**self.halvings:
            raise UsageError(
                f"a translator that halves {self.halvings} times takes multiples of {2**self.halvings}, got "
                f"{x.shape[-2]} x {x.shape[-1]}"
            )
        return torch.tanh(self.body(x))


def _conv(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, kernel, stride=stride, padding=kernel // 2, padding_mode="reflect")


def _norm(width: int) -> nn.Module:
    return nn.InstanceNorm2d(width, affine=True)


def _normed(width: int) -> list[nn.Module]:
    return [_norm(width), nn.ReLU()]
