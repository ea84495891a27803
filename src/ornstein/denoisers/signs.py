"""A network that gives the law of each bit's end from where the bits are."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError
from ornstein.core.shapes import per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Process
from ornstein.processes.first_hitting import FirstHittingBits, Signs


@final
class EndsNetwork(Denoiser):
    r"""logits = log h_1(z)/h_-1(z) + network(z, stopped): what a bit says of itself, and what the others add.

    So the drift pi/(1 + z) - (1 - pi)/(1 - z) stays bounded at both ends. The law depends on z alone, so the network is told
    no time but which bits have stopped, in as many channels again.
    """

    process: FirstHittingBits

    def __init__(self, network: nn.Module, process: Process):
        super().__init__()
        if not isinstance(process, FirstHittingBits):
            raise CapabilityError(f"ends of bits need FirstHittingBits, got {type(process).__name__}")
        self.network, self.process = network, process
        self.autocast: torch.dtype | None = None

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Signs:
        stopped = (x_t.abs() >= 1).to(x_t)
        clock = per_sample(torch.zeros_like(t), len(x_t)).to(x_t)
        with torch.autocast(x_t.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            out = self.network(torch.cat([x_t, stopped], 1), clock, cond)
        return Signs(self.process.prior_logits(x_t) + out.to(x_t))
