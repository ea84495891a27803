"""Exponential moving average of the weights, by half-life."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError, UsageError


class EMA:
    r"""w <- b w + (1 - b) theta after every step, b = 2^{-batch / h}, h = min(half_life, ramp * images seen).

    The half-life is in samples, so it does not change its meaning with the batch size; the ramp keeps the average close to
    a young model. Karras et al. 2022 (half-life 500,000 images, ramp 0.05).
    """

    def __init__(self, model: nn.Module, half_life: float, ramp: float = 0.05):
        if not half_life > 0:
            raise UsageError(f"an EMA's half-life must be positive, got {half_life}")
        self.model, self.half_life, self.ramp = model, half_life, ramp
        self.shadow = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, batch: int, seen: int) -> None:
        """One step: ``batch`` samples now, ``seen`` in all."""
        h = min(self.half_life, max(self.ramp * seen, 1e-8))
        beta = 0.5 ** (batch / h)
        live = dict(self.model.named_parameters())
        torch._foreach_lerp_(list(self.shadow.values()), [live[n].detach() for n in self.shadow], 1 - beta)

    def state(self) -> dict[str, Tensor]:
        """The averaged parameters by name."""
        return self.shadow

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved averages; the names must be those of the model."""
        if set(state) != set(self.shadow):
            odd = sorted(set(state) ^ set(self.shadow))
            raise CheckpointError(
                f"the checkpoint's EMA does not fit this model: {len(odd)} names differ, first '{odd[0]}'"
            )
        for name, value in state.items():
            self.shadow[name].copy_(value)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The model carries the averaged weights inside this block."""
        live = {n: p for n, p in self.model.named_parameters() if n in self.shadow}
        kept = {n: p.detach().clone() for n, p in live.items()}
        with torch.no_grad():
            for n, p in live.items():
                p.copy_(self.shadow[n])
        try:
            yield
        finally:
            with torch.no_grad():
                for n, p in live.items():
                    p.copy_(kept[n])
