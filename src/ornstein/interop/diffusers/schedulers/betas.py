r"""The variance-preserving process of a table of betas as diffusers reads it between the table's entries.

Entry n = 0..T-1 of the table is the time t = (n + 1)/T, and t = 0 is clean data. Between entries diffusers interpolates
r = sigma/alpha, linearly for a fractional time step and linearly in log r when it looks for the time of a given r.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.processes.schedules import Schedule


def betas(options: Mapping[str, Any]) -> Tensor:
    """The table that the options describe, ``[T]``, rounded to float32 as diffusers holds it."""
    steps, start, end = int(options["num_train_timesteps"]), options["beta_start"], options["beta_end"]
    kind = options["beta_schedule"]
    if options["trained_betas"] is not None:
        table = torch.tensor(options["trained_betas"], dtype=torch.float64)
        if len(table) != steps:
            raise UsageError(f"trained_betas has {len(table)} entries, num_train_timesteps is {steps}")
    elif kind == "linear":
        table = torch.linspace(start, end, steps, dtype=torch.float64)
    elif kind == "scaled_linear":
        table = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    elif kind == "sigmoid":
        table = torch.sigmoid(torch.linspace(-6, 6, steps, dtype=torch.float64)) * (end - start) + start
    else:
        angle = (torch.linspace(0, 1, steps + 1, dtype=torch.float64) + 0.008) / 1.008 * (math.pi / 2)
        bar = angle.cos() ** 2
        table = (1 - bar[1:] / bar[:-1]).clamp(max=0.999)
    return table.float().double()


def zero_terminal_snr(table: Tensor) -> Tensor:
    """Lin et al. 2023, algorithm 1: the last entry becomes 1."""
    root = (1 - table).cumprod(0).sqrt()
    root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    bar = root**2
    return 1 - torch.cat([bar[:1], bar[1:] / bar[:-1]])


def first_told(table: Tensor, ratio: float) -> int:
    """The time step that diffusers tells at the table's largest ratio, in its arithmetic.

    It looks the ratio up among float32 logarithms and cuts the result to a whole number: whether the last entry is
    found as T - 1 or as a hair less hangs on the rounding, and so on the table.
    """
    bar = (1 - table.float()).cumprod(0)
    logs = np.log(((1 - bar) / bar).sqrt().numpy())
    low, high, at = logs[-2], logs[-1], np.log(ratio)
    return int(len(logs) - 2 + np.clip((low - at) / (low - high), 0, 1))


@final
class RatioTable(Schedule):
    """r = sigma/alpha at T entries and the chosen interpolation between them; r falls to 0 linearly below entry 0."""

    _ratio: Tensor

    def __init__(self, table: Tensor, between: Literal["linear", "log"], last_bar: float | None = None):
        super().__init__()
        # In float32, as diffusers holds it: the first entries, 1 - 1e-4 and the like, are rounded by 1e-4 of their noise.
        bar = (1 - table.float()).cumprod(0).double()
        if last_bar is not None:
            bar[-1] = last_bar
        self.register_buffer("_ratio", ((1 - bar) / bar).sqrt(), persistent=False)
        self.steps, self.between = len(table), between

    def ratio(self, t: Tensor) -> Tensor:
        """sigma/alpha at t."""
        return self._place(t)[0]

    def _place(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """r and dr/dt."""
        r = self._ratio.to(t.device)
        u = (t * self.steps - 1).clamp(max=self.steps - 1)
        # A grid's times come from this table and back; what is an entry to rounding is an entry.
        near = u.round()
        u = torch.where((u - near).abs() < 1e-9 * self.steps, near, u)
        low = u.floor().clamp(0, self.steps - 2).long()
        part = u - low
        a, b = r[low], r[low + 1]
        if self.between == "log":
            inner = a ** (1 - part) * b**part
            slope = inner * (b / a).log()
        else:
            inner, slope = a + part * (b - a), b - a
        # An infinite last entry (zero terminal SNR) is reached exactly and does not spoil its neighbour.
        inner = torch.where(part == 0, a, torch.where(part == 1, b, inner))
        below = u < 0
        return torch.where(below, r[0] * (u + 1), inner), torch.where(below, r[0], slope) * self.steps

    def log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * torch.log1p(self.ratio(t) ** 2)

    def d_log_alpha(self, t: Tensor) -> Tensor:
        r, slope = self._place(t)
        return -r * slope / (1 + r**2)

    def time(self, log_snr: Tensor) -> Tensor:
        table, r = self._ratio.to(log_snr.device), (-0.5 * log_snr).exp()
        low = (torch.searchsorted(table, r.contiguous(), right=True) - 1).clamp(0, self.steps - 2)
        a, b = table[low], table[low + 1]
        part = (r / a).log() / (b / a).log() if self.between == "log" else (r - a) / (b - a)
        part = torch.where(r == a, torch.zeros_like(r), torch.where(r >= b, torch.ones_like(r), part))
        u = torch.where(r < table[0], r / table[0] - 1, low + part)
        return (u + 1) / self.steps
