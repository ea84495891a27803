"""Dot-product attention, by whichever way is quickest."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from ornstein.core.errors import UsageError

SHORT = 256
"""Keys up to which a CPU uses two plain matrix products. In bfloat16 the fused kernel's backward pass takes two to four times
as long there, in float32 the two are within a fifth; and the products have second derivatives, which the kernel lacks."""

FEW = 16
"""Keys below which a CPU takes the softmax over the outermost axis: along a last axis shorter than its registers it goes number
by number, eight times as slow."""


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""softmax(q k^T / sqrt(D)) v for ``q [B, heads, Lq, D]``, ``k`` and ``v [B, heads, Lk, D]``.

    ``mask [B, Lk]`` is True at the keys that may be attended to. Fused kernels have no forward-mode derivative, so plain
    products stand in for them under ``torch.func.jvp``.
    """
    bias = None if mask is None else mask[:, None, None, :]
    short = q.device.type == "cpu" and k.shape[-2] <= SHORT
    if not short and forward_ad._current_level < 0:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    logits = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-2, -1)
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    if bias is not None:
        logits = logits.masked_fill(~bias, -torch.inf)
    few = q.device.type == "cpu" and k.shape[-2] < FEW
    weights = logits.movedim(-1, 0).contiguous().softmax(0).movedim(0, -1) if few else logits.softmax(-1)
    return weights.to(v.dtype) @ v


def check_head(where: str, channels: int, head: int) -> int:
    """The number of heads of width ``head``; an error that names both where it is no integer."""
    if head < 1 or channels % head:
        raise UsageError(
            f"{where}: {channels} channels are not a multiple of head ({head}), the width of an attention head"
        )
    return channels // head
