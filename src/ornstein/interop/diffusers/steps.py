"""Steps that differ from this library's samplers by a convention of diffusers; each says by which."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine, GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State


@final
class StridedDDIM(DenoisingSampler):
    """DDIM that always goes back by the same stride, to t - stride and never below ``last``, whatever the grid says next.

    diffusers reads the level of the step's end from a stride of T // steps. With rounded spacings that is not the next
    time of its own list, and the state is treated as if it were. And where a denoiser clips x_0, the noise is still that
    of the unclipped estimate (``raw``).
    """

    needs = Affine

    def __init__(self, denoiser: Denoiser, raw: Denoiser, stride: float, last: float, eta: float):
        super().__init__(denoiser)
        self.raw, self.stride, self.last, self.eta = raw, stride, last, eta

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        end = t - self.stride
        # Entry 0 lies at 1/T: what is below it is `last`.
        s = torch.where(end < 1 / p.schedule.steps - 1e-9, torch.full_like(t, self.last), end)
        raw = self.raw(x_t, t, cond).mean
        x_0 = raw if self.denoiser is self.raw else self.denoiser(x_t, t, cond).mean
        eps = p.eps(x_t, t, raw)
        v = self.eta * p.sigma(s) * (-torch.expm1(p.log_snr(t) - p.log_snr(s))).clamp_min(0).sqrt()
        a, b, c = cast(x_t, p.alpha(s), (p.sigma(s) ** 2 - v**2).clamp_min(0).sqrt(), v)
        x_s = a * x_0 + b * eps
        return (x_s + c * rng.between(x_t, t, s) if self.eta > 0 else x_s), None


@final
class ChainDDPM(DenoisingSampler):
    """Ancestral sampling with diffusers' end: noise is added after every step but one from entry 0 of the table."""

    needs = GaussianProcess

    def __init__(self, denoiser: Denoiser, large: bool):
        super().__init__(denoiser)
        self.large = large

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        kernel = p.reverse(x_t, t, s, self.denoiser(x_t, t, cond))
        var = kernel.var
        if self.large:
            (var,) = cast(x_t, p.sigma(t) ** 2 * -torch.expm1(p.log_snr(t) - p.log_snr(s)))
        (inner,) = cast(x_t, t > 1.5 / p.schedule.steps)
        return kernel.mean + (var * inner).sqrt() * rng.between(x_t, t, s), None
