"""The transformer block of latent diffusion: self-attention, attention to a text, a gated linear unit."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.networks.layers.attention import attend, check_head
from ornstein.networks.layers.conditioning import Text
from ornstein.networks.layers.norm import GroupNorm


@final
class _Attention(nn.Module):
    def __init__(self, width: int, head: int, context: int):
        super().__init__()
        self.heads = check_head("SpatialTransformer", width, head)
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(context, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        b, n, c = x.shape
        q = self.q(x).reshape(b, n, self.heads, -1).transpose(1, 2)
        k, v = self.kv(context).reshape(b, context.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self.out(attend(q, k, v, mask).transpose(1, 2).reshape(b, n, c))


@final
class SpatialTransformer(nn.Module):
    r"""x + W (attend to itself, attend to the text, GEGLU) of the pixels as tokens, each x <- x + f(norm(x)).

    softmax(Q K^T / sqrt(d)) V with Q of the image, K and V of the text's tokens. Without a text the second attends to the image
    too. Rombach et al. 2022 (2112.10752), appendix E.2.
    """

    def __init__(self, channels: int, head: int, text: int):
        super().__init__()
        self.norm = GroupNorm(channels, eps=1e-6)
        self.before, self.after = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.after.weight)
        assert self.after.bias is not None
        nn.init.zeros_(self.after.bias)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.itself = _Attention(channels, head, channels)
        self.text = _Attention(channels, head, text or channels)
        self.gate, self.linear = nn.Linear(channels, 8 * channels), nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor, text: Text | None) -> Tensor:
        b, c, h, w = x.shape
        y = self.before(self.norm(x)).flatten(2).transpose(1, 2)
        z = self.norms[0](y)
        y = y + self.itself(z, z, None)
        z = self.norms[1](y)
        y = y + (self.text(z, z, None) if text is None else self.text(z, text.tokens.to(z.dtype), text.mask))
        value, gate = self.gate(self.norms[2](y)).chunk(2, -1)
        y = y + self.linear(value * F.gelu(gate))
        return x + self.after(y.transpose(1, 2).reshape(b, c, h, w))
