"""Plain convolutional encoders and decoders: images <-> one vector, halving or doubling the size at each level.

Radford et al. 2015 (1511.06434): strided convolutions of 4 x 4 in place of pooling.
"""

from __future__ import annotations

from typing import Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.errors import UsageError


def coarsest(size: int, widths: tuple[int, ...]) -> int:
    """The size at the coarsest level; an error where halving does not come out even."""
    if not widths or min(widths) < 1:
        raise UsageError(f"widths must hold at least one positive width, got {widths}")
    if size % 2 ** len(widths):
        raise UsageError(
            f"size {size} cannot be halved {len(widths)} times (once for each of widths): choose a size that is a multiple "
            f"of {2 ** len(widths)}, or fewer widths"
        )
    return size // 2 ** len(widths)


def small_normal(network: nn.Module) -> None:
    """Weights from N(0, 0.02^2), biases 0: the DCGAN's initialisation."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@final
class ConvEncoder(nn.Module):
    """``[B, C, S, S] -> [B, out]``: strided convolutions with ``activation``, then one linear layer."""

    def __init__(
        self,
        *,
        channels: int,
        size: int,
        out: int,
        widths: tuple[int, ...] = (64, 128),
        activation: Literal["silu", "leaky_relu"] = "silu",
    ):
        super().__init__()
        self.side, self.activation = coarsest(size, widths), activation
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in zip((channels, *widths), widths, strict=False)
        )
        self.out = nn.Linear(widths[-1] * self.side**2, out)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(x)
            x = F.silu(x) if self.activation == "silu" else F.leaky_relu(x, 0.2)
        return self.out(x.flatten(1))


@final
class ConvDecoder(nn.Module):
    """``[B, width] -> [B, C, S, S]`` in (-1, 1): a linear layer, transposed convolutions, tanh.

    ``normalise`` puts batch normalisation after each layer but the last (Radford et al. 2015); without it the activation is
    SiLU in place of ReLU.
    """

    def __init__(
        self,
        *,
        width: int,
        channels: int,
        size: int,
        widths: tuple[int, ...] = (64, 128),
        normalise: bool = False,
    ):
        super().__init__()
        self.side, self.first_width, self.normalise = coarsest(size, widths), widths[-1], normalise
        self.first = nn.Linear(width, widths[-1] * self.side**2)
        ins, outs = widths[::-1], (*widths[-2::-1], channels)
        self.convs = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in zip(ins, outs, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(w) for w in ins) if normalise else nn.ModuleList()

    def forward(self, z: Tensor) -> Tensor:
        x = self.first(z).reshape(len(z), self.first_width, self.side, self.side)
        for i, conv in enumerate(self.convs):
            x = conv(F.relu(self.norms[i](x)) if self.normalise else F.silu(x))
        return x.tanh()
