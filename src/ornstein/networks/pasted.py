"""A network that is told some of the answer: known pixels go in as they are, and come out as they went in."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond, is_missing
from ornstein.core.errors import UsageError


@final
class Pasted(nn.Module):
    r"""x <- m y + (1 - m) x before a network that predicts x_0, and so after it; y and m are ``cond[name] [B, C + 1, H, W]``.

    m is the last channel, 1 where y is known. For such a network the noise is in the hole alone, the loss is that of the hole,
    and a sampler's last state holds y exactly. A missing row has no known pixels. Saharia et al. 2022, 2111.05826, section 3.
    """

    def __init__(self, network: nn.Module, name: str):
        super().__init__()
        self.network, self.name = network, name

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        given = cond.get(self.name)
        if given is None:
            out: Tensor = self.network(x, t, cond)
            return out
        if given.shape != (len(x), x.shape[1] + 1, *x.shape[2:]):
            raise UsageError(
                f"cond['{self.name}'] must be a picture and its mask, {(len(x), x.shape[1] + 1, *x.shape[2:])}, got "
                f"{tuple(given.shape)}"
            )
        missing = is_missing(given).reshape(-1, 1, 1, 1)
        given = torch.where(missing, torch.zeros_like(given), given).to(x)
        y, m = given[:, :-1], given[:, -1:]
        out = self.network(m * y + (1 - m) * x, t, cond)
        return m * y.to(out) + (1 - m) * out
