"""A network that predicts the noise of a coupled process, whitened by Cholesky's factor."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.blocks import apply
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.core.errors import CapabilityError
from ornstein.core.shapes import expand, per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Process
from ornstein.processes.linear import LinearProcess, flat


@final
class WhitenedEps(Denoiser):
    r"""x_t = e^{-A b} x_0 + L eps, L L' = Sigma_t: the network gives eps, E[x_0] = e^{A b} (x_t - L eps), score = -L^{-T} eps."""

    process: LinearProcess

    def __init__(self, network: nn.Module, process: Process):
        super().__init__()
        if not isinstance(process, LinearProcess):
            raise CapabilityError(f"noise whitened by a matrix needs a LinearProcess, got {type(process).__name__}")
        self.network, self.process = network, process
        self.autocast: torch.dtype | None = None

    def output(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        """eps."""
        noise = per_sample(1000 * expand(t, x_t), len(x_t)).to(x_t.dtype)
        with torch.autocast(x_t.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            out = self.network(x_t, noise, cond)
        return out.to(x_t.dtype)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        t = expand(t, x_t)
        b = self.process.clock(flat(t))
        factor = torch.linalg.cholesky(self.process.spread(b))
        return Dirac(apply(self.process.flow(-b), x_t - apply(factor, self.output(x_t, t, cond))))
