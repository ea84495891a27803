"""Averages of the weights: by half-life, and by a power of time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.core.shards import local


class Average(ABC):
    """w <- b w + (1 - b) theta after every step, for every parameter that is trained."""

    def __init__(self, model: nn.Module):
        self._live = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.shadow = {n: p.detach().clone() for n, p in self._live.items()}

    @abstractmethod
    def beta(self, batch: int, seen: int) -> float:
        """What remains of the average in a step of ``batch`` samples, ``seen`` in all."""

    @torch.no_grad()
    def update(self, batch: int, seen: int) -> None:
        """One step: ``batch`` samples now, ``seen`` in all."""
        if self.shadow:
            mine = [local(s) for s in self.shadow.values()]
            torch._foreach_lerp_(mine, [local(p.detach()) for p in self._live.values()], 1 - self.beta(batch, seen))

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

    @torch.no_grad()
    def put(self) -> None:
        """Leave the averaged weights in the model."""
        for n, p in self._live.items():
            p.copy_(self.shadow[n])

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The model carries the averaged weights inside this block."""
        kept = {n: p.detach().clone() for n, p in self._live.items()}
        self.put()
        try:
            yield
        finally:
            with torch.no_grad():
                for n, p in self._live.items():
                    p.copy_(kept[n])


@final
class EMA(Average):
    r"""By half-life: b = 2^{-batch / h}, h = min(half_life, ramp * images seen).

    The half-life is in samples, so it does not change its meaning with the batch size; the ramp keeps the average close to
    a young model. Karras et al. 2022 (half-life 500,000 images, ramp 0.05).
    """

    def __init__(self, model: nn.Module, half_life: float, ramp: float = 0.05):
        if not half_life > 0:
            raise UsageError(f"an EMA's half-life must be positive, got {half_life}")
        super().__init__(model)
        self.half_life, self.ramp = half_life, ramp

    def beta(self, batch: int, seen: int) -> float:
        h = min(self.half_life, max(self.ramp * seen, 1e-8))
        return 0.5 ** (batch / h)


@final
class PowerEMA(Average):
    r"""By a power of time: b = (1 - batch / seen)^{gamma + 1}, so that theta at time tau weighs tau^gamma at every t.

    ``std`` is the width of that profile relative to t, sqrt(gamma + 1) / ((gamma + 2) sqrt(gamma + 3)). The average has
    no memory of the initial weights and its width grows with training. Karras et al. 2024 (2312.02696), eqs. 1 to 3.
    """

    def __init__(self, model: nn.Module, std: float):
        super().__init__(model)
        self.std, self.gamma = std, gamma_of(std)

    def beta(self, batch: int, seen: int) -> float:
        return (1 - batch / seen) ** (self.gamma + 1)


def gamma_of(std: float) -> float:
    r"""The exponent of the profile of relative width ``std``: the root of g^3 + 7 g^2 + (16 - s) g + 12 - s, s = std^-2.

    Karras et al. 2024, algorithm 2. At std = 1/sqrt(12) all weights of the past count alike; no profile is wider.
    """
    if not 0 < std <= math.sqrt(1 / 12):
        raise UsageError(
            f"the relative width of an average must lie in (0, 0.288] (0.05 to 0.2 are usual), got {std:g}"
        )
    s = std**-2
    return max(float(np.roots([1, 7, 16 - s, 12 - s]).real.max()), 0.0)
