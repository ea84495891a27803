"""Dot-product attention, by whichever way is quickest."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.errors import UsageError

SHORT = 512
"""Keys up to which two plain matrix products beat the fused kernel on a CPU in reduced precision (its backward pass by four)."""


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""softmax(q k^T / sqrt(D)) v for ``q [B, heads, Lq, D]``, ``k`` and ``v [B, heads, Lk, D]``.

    ``mask [B, Lk]`` is True at the keys that may be attended to.
    """
    bias = None if mask is None else mask[:, None, None, :]
    if q.device.type == "cpu" and q.dtype != torch.float32 and q.dtype != torch.float64 and k.shape[-2] <= SHORT:
        logits = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-2, -1)
        logits = logits.float()
        if bias is not None:
            logits = logits.masked_fill(~bias, -torch.inf)
        return logits.softmax(-1).to(v.dtype) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def check_head(where: str, channels: int, head: int) -> int:
    """The number of heads of width ``head``; an error that names both where it is no integer."""
    if head < 1 or channels % head:
        raise UsageError(f"{where}: {channels} channels are not a multiple of head ({head}), the width of an attention head")
    return channels // head
