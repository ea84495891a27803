"""Optimisers as data: what to build, and how the learning rate moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from ornstein.core.errors import UsageError
from ornstein.core.shards import is_sharded

Decay = Literal["constant", "inverse_sqrt", "cosine", "linear"]


@dataclass(frozen=True)
class OptimizerSpec:
    """AdamW (plain Adam at ``weight_decay`` 0) with warm-up, a decay and clipping of the gradient's norm.

    ``decay``: ``"constant"``; ``"inverse_sqrt"``, lr / sqrt(max(step / decay_steps, 1)) (Karras et al. 2024);
    ``"cosine"`` and ``"linear"``, to zero at ``decay_steps``. Whatever the decay, the rate rises linearly over the first
    ``warmup`` steps.
    """

    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    warmup: int = 0
    decay: Decay = "constant"
    decay_steps: int = 0
    clip: float | None = 1.0

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise UsageError(f"lr must be positive, got {self.lr}")
        if self.decay not in get_args(Decay):
            known = ", ".join(map(repr, get_args(Decay)))
            raise UsageError(f"decay must be one of {known}, got '{self.decay}'")
        if self.decay != "constant" and self.decay_steps < 1:
            raise UsageError(f"decay='{self.decay}' needs decay_steps >= 1")

    def build(self, params: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser over these parameters; those that are divided among processes make a group of their own.

        An update that only looks at the batches has no parameters, and an optimiser of one empty group.
        """
        kinds = [[p for p in params if is_sharded(p) is divided] for divided in (False, True)]
        groups = [{"params": kind} for kind in kinds if kind] or [{"params": []}]
        return torch.optim.AdamW(
            groups, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, foreach=True
        )

    def lr_at(self, step: int) -> float:
        """The learning rate of the update that makes step ``step`` (counted from 1)."""
        lr = self.lr
        if self.decay == "inverse_sqrt":
            lr /= max(step / self.decay_steps, 1.0) ** 0.5
        elif self.decay == "cosine":
            lr *= 0.5 * (1 + math.cos(math.pi * min(step / self.decay_steps, 1.0)))
        elif self.decay == "linear":
            lr *= 1 - min(step / self.decay_steps, 1.0)
        if self.warmup > 0:
            lr *= min(step / self.warmup, 1.0)
        return lr
