"""In which number format a network computes."""

from __future__ import annotations

import torch
from torch import Tensor


def compute_dtype(x: Tensor, weight: Tensor) -> torch.dtype:
    """The caller's autocast format if there is one on the device of ``x``, else that of the weights."""
    if x.device.type != "meta" and torch.is_autocast_enabled(x.device.type):  # shapes alone have no format to choose
        return torch.get_autocast_dtype(x.device.type)
    return weight.dtype
