r"""TimeGrad's network: a recurrent state summarises the past, a small convolutional denoiser draws the next step from it.

Rasul et al. 2021, 2101.12072, section 3 and figure 2. The columns are a closed ring that dilated convolutions run along. The
state enters each block over ``channels`` channels a column, not over one, which is too narrow for few columns.
"""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.networks.layers.embedding import NoiseEmbedding

Memory = tuple[Tensor, Tensor]
"""Hidden and cell states of the recurrence, each ``[layers, B, H]``."""


@final
class Ring(nn.Module):
    """A convolution of three taps along a ring of columns ``[N, C, K]``, ``dilation`` apart; K may be less than that."""

    def __init__(self, channels: int, out: int, dilation: int):
        super().__init__()
        self.taps, self.dilation = nn.Conv1d(3 * channels, out, 1), dilation

    def forward(self, x: Tensor) -> Tensor:
        return self.taps(torch.cat([x, x.roll(self.dilation, -1), x.roll(-self.dilation, -1)], 1))


@final
class EmissionBlock(nn.Module):
    """+ noise level, a ring, + state, gate; residual and skip."""

    def __init__(self, channels: int, noise: int, dilation: int):
        super().__init__()
        self.noise = nn.Linear(noise, channels)
        self.ring = Ring(channels, 2 * channels, dilation)
        self.state, self.out = nn.Conv1d(channels, 2 * channels, 1), nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x: Tensor, noise: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        gate, value = (self.ring(x + self.noise(noise)[..., None]) + self.state(state)).chunk(2, 1)
        residual, skip = self.out(torch.sigmoid(gate) * torch.tanh(value)).chunk(2, 1)
        return (x + residual) * math.sqrt(0.5), skip


@final
class Emission(nn.Module):
    """``(x [N, K], t [N], cond) -> [N, K]`` with ``cond["state"] [N, H]`` and, where cells are missing, ``cond["sought"]``.

    :meth:`advance` makes the states. What goes in at each step: values, where they are, values ``lags`` steps before, and
    ``further`` features (calendar, covariates).
    """

    def __init__(
        self,
        columns: int,
        *,
        further: int = 0,
        lags: tuple[int, ...] = (),
        hidden: int = 40,
        layers: int = 2,
        channels: int = 16,
        blocks: int = 4,
        noise: int = 32,
        dropout: float = 0.0,
    ):
        super().__init__()
        if any(lag < 1 for lag in lags):
            raise UsageError(f"lags are at least 1 step, got {lags}")
        self.columns, self.lags, self.channels = columns, tuple(lags), channels
        inputs = columns * (2 + len(self.lags)) + further
        self.recurrence = nn.LSTM(inputs, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.spread = nn.Linear(hidden, channels * columns)
        self.enter = nn.Conv1d(2, channels, 1)
        self.noise = NoiseEmbedding("sinusoidal", noise, noise)
        self.blocks = nn.ModuleList(EmissionBlock(channels, noise, 2 ** (i % 2)) for i in range(blocks))
        self.column = nn.Parameter(torch.randn(channels, columns) / math.sqrt(channels))
        self.last, self.leave = nn.Conv1d(channels, channels, 1), nn.Conv1d(channels, 1, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def inputs(self, x: Tensor, observed: Tensor, further: Tensor | None) -> Tensor:
        """``x`` and ``observed`` ``[B, K, L]``, ``further [B, L, F]`` -> ``[B, L, inputs]``; before the start all is 0."""
        lagged = [F.pad(x, (lag, 0))[..., : x.shape[-1]] for lag in self.lags]
        parts = torch.cat([x, observed.to(x.dtype), *lagged], 1).transpose(1, 2)
        if further is None:
            return parts
        return torch.cat([parts, further.to(x.dtype).expand(len(parts), -1, -1)], -1)

    def advance(self, inputs: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """The state after each step, ``[B, L, H]``, and the memory after the last."""
        states, memory = self.recurrence(inputs, memory)
        return states, memory

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        if "state" not in cond:
            raise UsageError("the emission draws the step after a state; give cond['state']")
        sought = cond["sought"].to(x.dtype) if "sought" in cond else torch.ones_like(x)
        state = F.leaky_relu(self.spread(cond["state"]), 0.4).reshape(len(x), self.channels, self.columns)
        h = F.leaky_relu(self.enter(torch.stack([x * sought, sought], 1)) + self.column, 0.4)
        noise = F.silu(self.noise(t))
        total = torch.zeros((), dtype=h.dtype, device=h.device)
        for block in self.blocks:
            h, skip = block(h, noise, state)
            total = total + skip
        return self.leave(F.leaky_relu(self.last(total / math.sqrt(len(self.blocks))), 0.4)).squeeze(1)
