"""Convolutions on a CPU with a weight that lies ready in oneDNN's own order.

Otherwise the library brings the weight into that order at every call, which on one image takes as long as the convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_OPS: Any = torch.ops.mkldnn
DTYPES = (torch.bfloat16,)
"""In float32 it gains nothing, and on one image it loses a seventh against the plain product that PyTorch then takes."""


def packable(weight: Tensor, x: Tensor) -> bool:
    """Whether :func:`pack` serves this weight and input: plain tensors on a CPU, without gradients."""
    return bool(
        x.device.type == "cpu"
        and weight.dtype == x.dtype
        and x.dtype in DTYPES
        and x.numel() > 0
        and torch._C._len_torch_dispatch_stack() == 0  # a counter of operations, say, does not know oneDNN's
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and hasattr(_OPS, "_convolution_pointwise")
    )


def pack(weight: Tensor, x: Tensor) -> Tensor:
    """``weight [out, in, k, k]`` in the order that suits convolutions of inputs like ``x`` (odd kernel, same size).

    The result fits inputs of any batch; at another height or width it would be put in order again at each call.
    """
    pad = [weight.shape[-1] // 2] * 2
    packed: Tensor = _OPS._reorder_convolution_weight(weight, pad, [1, 1], [1, 1], 1, list(x.shape))
    return packed


def convolve(x: Tensor, packed: Tensor) -> Tensor:
    """The convolution of ``x`` with what :func:`pack` made, without bias, of the same size."""
    pad = [packed.shape[-1] // 2] * 2
    out: Tensor = _OPS._convolution_pointwise(x, packed, None, pad, [1, 1], [1, 1], 1, "none", [], "")
    return out
