"""The variational bound with a forward process that is learned too."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.blocks import apply
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, sum_rest
from ornstein.denoisers.whitened import WhitenedEps
from ornstein.processes.flexible import Flexible


@final
class FlexibleBound:
    r"""-log p(x_0) <= D + KL(q(x_1 | x_0) || N(0, I)) + 1/2 int E |s - s*|^2_R db, per number, in nats.

    s* = -L^{-T} eps and s = -L^{-T} eps_theta, so that the integrand is e' (L^{-1} R L^{-T}) e with e = eps - eps_theta; b is
    drawn uniformly in log b, where it is level. D = -E log p(x_0 | x_eps), with x_0 around e^{A b} x_eps, grows with R: without
    it and without the KL a learned R would fall to its floor. Huang, Lim & Courville 2021, 2106.02808; Du et al. 2022.
    """

    def __init__(self, denoiser: WhitenedEps, codec: Codec, first: float = 1e-3, cond_dropout: float = 0.0):
        if not isinstance(denoiser.process, Flexible):
            raise CapabilityError(f"this bound needs Flexible, got {type(denoiser.process).__name__}")
        if not 0 < first < denoiser.process.t_max:
            raise UsageError(
                f"first, where the integral begins, must lie in (0, {denoiser.process.t_max:g}), got {first:g}"
            )
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.first, self.cond_dropout = denoiser, codec, first, cond_dropout
        self.process = denoiser.process

    def each(self, x_0: Tensor, rng: Random, cond: Cond = NO_COND) -> tuple[Tensor, Tensor]:
        """The times drawn and one estimate of the bound for each sample, ``[B]`` in nats."""
        p = self.process
        k, columns = p.parts, x_0[0].numel() // p.parts
        ends = torch.tensor([self.first, p.t_max], dtype=torch.float64, device=x_0.device)
        low, high = p.clock(ends)
        span = (high / low).log()
        b = low * torch.exp(span * rng.stratified(len(x_0)).to(x_0.device))
        t = p.time(b)
        factor = torch.linalg.cholesky(p.spread(b))
        eps = rng.normal_like(x_0)
        x_t = apply(p.flow(b), x_0) + apply(factor, eps)
        error = (eps - self.denoiser.output(x_t, expand(t, x_t), cond)).double()
        inverse = torch.linalg.solve_triangular(factor, p.stationary().expand_as(factor), upper=False)
        metric = inverse @ p.noise() @ inverse.mT
        gap = 0.5 * span * b * sum_rest(error * apply(metric, error))
        return t, gap + self._ends(x_0, low, high, k, columns)

    def _ends(self, x_0: Tensor, low: Tensor, high: Tensor, k: int, columns: int) -> Tensor:
        """D, the same for all x_0, and the KL at t = 1."""
        p = self.process
        first, last = p.spread(low), p.spread(high)
        decoder = columns * (0.5 * k * math.log(2 * math.pi * math.e) + 0.5 * first.logdet() + low * p.pull().trace())
        mean = apply(p.flow(high), x_0.double())
        kl = 0.5 * (sum_rest(mean**2) + columns * (last.trace() - k - last.logdet()))
        return decoder + kl

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        t, bound = self.each(x_0, rng, cond)
        bound = bound / x_0[0].numel()
        return Loss(bound.mean().to(x_0.dtype), levels=(t.detach(), bound.detach()))
