"""The null-space model: what is measured is put into the estimate, what is not is left to the denoiser."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State


@final
class DDNM(DenoisingSampler):
    r"""E[x_0] <- E[x_0] + l A^+ (y - A E[x_0]) in each singular direction, then the ancestral kernel.

    With c the weight of x_0 in the kernel's mean and v its deviation: l = 1 and the fresh noise shrinks to
    sqrt(v^2 - (c noise / s_i)^2) while v exceeds c noise / s_i; below it l = v s_i / (c noise) and no noise is added, so that
    each direction has the noise of its level (DDNM+). Without noise l = 1. Wang et al. 2023, 2212.00490, section 3.3.

    The noise of y is the same at every step and its shares add up, which the paper neglects: with small singular values and
    noise (a blur) the result is grainy. ddrm has no such term.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True
    single_level: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, measurement: Measurement):
        super().__init__(denoiser)
        self.svd, self.measurement = measurement.spectrum("ddnm"), measurement

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p, svd, m = self.process, self.svd, self.measurement
        values, kept = svd.kept(x_t)
        safe = values.where(kept, torch.ones_like(values))
        fresh = -torch.expm1(p.log_snr(t) - p.log_snr(s))
        weight, var, back = cast(
            x_t,
            p.alpha(s) * fresh,
            p.sigma(s) ** 2 * fresh,
            (p.log_snr(t) - p.log_snr(s)).mul(0.5).exp() * p.sigma(s) / p.sigma(t),
        )
        b = svd.turn(self.denoiser(x_t, t, cond).mean)
        known = svd.data(m.y.to(x_t)) / safe
        error = weight * m.noise / safe
        share = torch.where(var.sqrt() >= error, torch.ones_like(error), var.sqrt() / error.clamp_min(1e-12))
        b = torch.where(kept, b + share * (known - b), b)
        left = torch.where(kept, (var - (share * error) ** 2).clamp_min(0), var).sqrt()
        c_s = back * svd.turn(x_t) + weight * b + left * svd.turn(rng.between(x_t, t, s))
        return svd.unturn(c_s), None
