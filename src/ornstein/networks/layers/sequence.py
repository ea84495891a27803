"""The transformer layer over sequences of tokens: they attend to themselves, or to earlier ones only, and to another sequence."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.networks.layers.attention import attend, check_head


@final
class _Attention(nn.Module):
    def __init__(self, width: int, head: int):
        super().__init__()
        self.heads = check_head("SequenceLayer", width, head)
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, causal: bool) -> Tensor:
        b, n, c = x.shape
        q = self.q(x).reshape(b, n, self.heads, -1).transpose(1, 2)
        k, v = self.kv(context).reshape(b, context.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True) if causal else attend(q, k, v)
        out: Tensor = self.out(y.transpose(1, 2).reshape(b, n, c))
        return out


@final
class SequenceLayer(nn.Module):
    """``x [B, L, width]``: x + attend(norm x), x + attend(norm x, context) with ``cross``, x + MLP(norm x); pre-norm.

    With ``causal`` a token attends to itself and to those before it. Vaswani et al. 2017; Xiong et al. 2020 for the norms' place.
    """

    def __init__(self, width: int, head: int, *, causal: bool = False, cross: bool = False):
        super().__init__()
        self.causal = causal
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if cross else 2))
        self.itself = _Attention(width, head)
        self.other = _Attention(width, head) if cross else None
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        y = self.norms[0](x)
        x = x + self.itself(y, y, self.causal)
        if self.other is not None:
            assert context is not None
            x = x + self.other(self.norms[1](x), context, False)
        out: Tensor = x + self.mlp(self.norms[-1](x))
        return out
