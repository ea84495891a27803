"""What a network is told as a sequence to attend to, where the data say it by a label or a vector."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond, is_missing
from ornstein.core.conditions import ClassCondition, TextCondition, VectorCondition
from ornstein.core.errors import UsageError
from ornstein.networks.layers.conditioning import read_class, read_vector

NAME = "tokens"


@final
class Tokens(nn.Module):
    """A network behind an encoder of conditions: each class or vector becomes one token of ``width``, read by cross-attention.

    The network must declare ``TextCondition("tokens", width)``. Where all are missing it attends to its own null token.
    Rombach et al. 2022, section 3.3.
    """

    def __init__(self, network: nn.Module, conditions: tuple[ClassCondition | VectorCondition, ...], width: int):
        super().__init__()
        if not conditions:
            raise UsageError("there is nothing to make tokens of: declare a class or a vector condition")
        self.network, self.conditions, self.width = network, conditions, width
        self.encoders = nn.ModuleDict(
            {
                c.name: nn.Embedding(c.classes, width) if isinstance(c, ClassCondition) else nn.Linear(c.width, width)
                for c in conditions
            }
        )

    @staticmethod
    def condition(width: int) -> TextCondition:
        """What the network behind it must declare."""
        return TextCondition(NAME, width)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        tokens, known = [], []
        for c in self.conditions:
            encoder = self.encoders[c.name]
            if isinstance(c, ClassCondition):
                label = read_class(c, cond, x)
                known.append(label >= 0)
                tokens.append(encoder(label.clamp_min(0)))
            else:
                value = read_vector(c, cond, torch.zeros(c.width, device=x.device), x)
                known.append(~is_missing(cond[c.name]).to(x.device) if c.name in cond else torch.zeros_like(t).bool())
                tokens.append(encoder(value))
        about = {NAME: torch.stack(tokens, 1), f"{NAME}_mask": torch.stack(known, 1)}
        return self.network(x, t, {**cond, **about})
