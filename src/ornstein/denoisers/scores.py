"""A network that gives the score alone, for noise that has no formula for the mean of the data."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Score
from ornstein.core.shapes import cast, expand, per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine


@final
class ScoreNetwork(Denoiser):
    r"""score = network(x_t / sqrt(1 + sigma_t^2), 1000 t) / sigma_t: outputs of order 1 at every level."""

    process: Affine

    def __init__(self, network: nn.Module, process: Affine):
        super().__init__()
        self.network, self.process = network, process
        self.autocast: torch.dtype | None = None

    def output(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        """sigma_t times the score."""
        t = expand(t, x_t)
        (scale,) = cast(x_t, (1 + self.process.sigma(t) ** 2).rsqrt())
        noise = per_sample(1000 * t, len(x_t)).to(x_t.dtype)
        with torch.autocast(x_t.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            out = self.network(scale * x_t, noise, cond)
        return out.to(x_t.dtype)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Score:
        (sigma,) = cast(x_t, self.process.sigma(expand(t, x_t)))
        return Score(self.output(x_t, t, cond) / sigma)
