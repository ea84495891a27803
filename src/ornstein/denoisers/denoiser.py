"""The denoiser: (x_t, t, cond) -> a posterior over x_0, the one currency between networks, guidance and samplers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.shapes import expand, per_sample
from ornstein.core.state import X
from ornstein.denoisers.parametrizations import Parametrization
from ornstein.processes.base import Affine, Process


class Denoiser(nn.Module, ABC, Generic[X]):
    """p(x_0 | x_t): what a network knows of the data behind a noisy state. Guidance wraps one in another."""

    process: Process[X]

    @abstractmethod
    def forward(self, x_t: X, t: Tensor, cond: Cond = NO_COND) -> Posterior[X]:
        """``x_t [B, ...]``, ``t`` expanded to x's rank (float64), ``cond`` as in :mod:`ornstein.core.cond`."""


@final
class Preconditioned(Denoiser):
    r"""A network and what its output means: posterior = parametrization(network(c_in x_t, c_noise(t), cond)).

    The network is a plain ``(x, t, cond) -> tensor``; it is called once per evaluation, in ``autocast`` precision when
    that is set (the only place where precision changes), on ``channels_last`` memory when ``channels_last`` is set.
    """

    process: Affine

    def __init__(
        self,
        network: nn.Module,
        process: Affine,
        parametrization: Parametrization,
        *,
        autocast: torch.dtype | None = None,
        channels_last: bool = False,
    ):
        super().__init__()
        parametrization.check(process)
        self.network, self.process, self.parametrization = network, process, parametrization
        self.autocast, self.channels_last = autocast, channels_last

    def output(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        """The network's raw output at ``(x_t, t)``, in x's dtype: what an objective regresses."""
        t = expand(t, x_t)
        x_in, noise = self.parametrization.inputs(self.process, x_t, t)
        noise = per_sample(noise, x_t.shape[0]).to(x_t.dtype)
        if self.channels_last and x_in.ndim == 4:
            x_in = x_in.contiguous(memory_format=torch.channels_last)
        if self.autocast is None:
            return self.network(x_in, noise, cond)
        with torch.autocast(x_t.device.type, dtype=self.autocast):
            out = self.network(x_in, noise, cond)
        return out.to(x_t.dtype)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        return self.parametrization.posterior(self.process, self.output(x_t, t, cond), x_t, t)
