r"""SSSD's network: DiffWave's residual blocks with structured state spaces in place of dilated convolutions.

Lopez Alcaraz & Strodthoff 2022, 2208.09399, appendix: + noise level, convolution, S4, + what is known, S4, gate; residual, skip.
The columns are channels, so that the cost does not grow with their number.
"""

from __future__ import annotations

import math
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.networks.layers.embedding import NoiseEmbedding
from ornstein.networks.series.inputs import Clock, told
from ornstein.networks.series.s4 import S4D

Mixer = Literal["s4", "convolution"]


@final
class Mixing(nn.Module):
    """S4 over time with GELU, a map of the channels and a norm around a residual; or nothing but a convolution."""

    def __init__(self, width: int, state: int, mixer: Mixer):
        super().__init__()
        self.mix: nn.Module = (
            S4D(width, state) if mixer == "s4" else nn.Conv1d(width, width, 3, padding=1, groups=width)
        )
        self.out, self.norm = nn.Conv1d(width, width, 1), nn.GroupNorm(1, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.out(F.gelu(self.mix(x))))


@final
class Block(nn.Module):
    """One residual block."""

    def __init__(self, width: int, state: int, noise: int, known: int, mixer: Mixer):
        super().__init__()
        self.noise = nn.Linear(noise, width)
        self.conv = nn.Conv1d(width, 2 * width, 3, padding=1)
        self.first, self.second = Mixing(2 * width, state, mixer), Mixing(2 * width, state, mixer)
        self.known = nn.Conv1d(known, 2 * width, 1)
        self.out = nn.Conv1d(width, 2 * width, 1)

    def forward(self, x: Tensor, noise: Tensor, known: Tensor, clock: Tensor) -> tuple[Tensor, Tensor]:
        h = self.first(self.conv(x + self.noise(noise)[..., None])) + self.known(known) + clock
        gate, value = self.second(h).chunk(2, 1)
        residual, skip = self.out(torch.sigmoid(gate) * torch.tanh(value)).chunk(2, 1)
        return (x + residual) * math.sqrt(0.5), skip


@final
class StructuredStateSpace(nn.Module):
    """``(x [B, K, L], t [B], cond) -> [B, K, L]``; t of the order of 1000; conditions as in
    :mod:`ornstein.networks.series.inputs`.

    Args:
        columns: K.
        mixer: "convolution" puts depthwise convolutions in the place of the state spaces: what they are compared with.
        classes: number of labels; further ones as the widths of their conditions.
        units: the condition ``spread`` is read.
    """

    def __init__(
        self,
        columns: int,
        *,
        calendar: int = 0,
        static: int = 0,
        classes: int = 0,
        width: int = 64,
        layers: int = 4,
        state: int = 16,
        noise: int = 128,
        mixer: Mixer = "s4",
        units: bool = False,
    ):
        super().__init__()
        if mixer not in ("s4", "convolution"):
            raise UsageError(f"mixer must be 's4' or 'convolution', got '{mixer}'")
        self.columns, self.layers, self.units = columns, layers, units
        self.enter = nn.Conv1d(columns, width, 1)
        self.noise = NoiseEmbedding("sinusoidal", noise, noise)
        self.label = nn.Embedding(classes + 1, noise) if classes else None
        self.clock = Clock(2 * width, calendar, static)
        self.blocks = nn.ModuleList(Block(width, state, noise, (4 + units) * columns, mixer) for _ in range(layers))
        self.last, self.leave = nn.Conv1d(width, width, 1), nn.Conv1d(width, columns, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        if x.ndim != 3 or x.shape[1] != self.columns:
            raise UsageError(f"the network takes series [B, {self.columns}, L], got {tuple(x.shape)}")
        cells = told(x, cond)
        h = F.relu(self.enter(cells.values + cells.sought * x))  # noise only where values are missing
        parts = [cells.values, cells.given, cells.sought, cells.anchor, *([cells.unit] if self.units else [])]
        known = torch.cat(torch.broadcast_tensors(*parts), 1)
        noise = self.noise(t)
        if self.label is not None:
            label = cond["label"] if "label" in cond else torch.full((len(x),), -1, device=x.device)
            noise = noise + self.label(label + 1)
        noise = F.silu(noise)
        clock = self.clock(x, cond).transpose(1, 2)
        total = torch.zeros((), dtype=h.dtype, device=h.device)
        for block in self.blocks:
            h, skip = block(h, noise, known, clock)
            total = total + skip
        return self.leave(F.relu(self.last(total / math.sqrt(self.layers))))
