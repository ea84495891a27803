"""DPM-Solver++ 3M: the parabola through three values of x_0."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.exponential import moments
from ornstein.samplers.levels import exponential_euler


@final
class DPMSolverPP3M(DenoisingSampler):
    r"""x_s = sigma_s/sigma_t x_t + alpha_s ((1 - e^{-h}) x_0 + M_1/h D_1 + curvature M_2/h^2 D_2), M_k = int e^{-(h-v)} v^k dv.

    D_1 and D_2 are the first two coefficients, in units of h, of the parabola through x_0 here and at the two former steps.
    With ``curvature=1`` that is its exact integral: order 3. Released implementations (k-diffusion, diffusers) halve the last
    term, ``curvature=0.5``, which makes it order 2. The first step is DDIM's, the second 2M's with a straight line; steps to
    t = 0 and from alpha = 0 are infinite in lambda and stay DDIM's. Lu et al. 2022, 2211.01095.
    State: (lambda, x_0) of the last two steps.
    """

    needs = Affine
    order: ClassVar[int] = 3
    history: ClassVar[int] = 2

    def __init__(self, denoiser: Denoiser, curvature: float = 1.0):
        super().__init__(denoiser)
        if not 0 <= curvature <= 1:
            raise UsageError(f"curvature must lie in [0, 1]: 1 is the whole parabola; got {curvature}")
        self.curvature = curvature

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        level = p.log_snr(t) / 2
        x_s = exponential_euler(p, x_t, t, s, x_0)
        known: tuple[tuple[Tensor, Tensor], ...] = ((level, x_0), *(state or ()))
        h = p.log_snr(s) / 2 - level
        if len(known) > 1:
            w_1, w_2 = self._weights(h, [k[0] for k in known])
            w_1, w_2 = cast(x_t, p.alpha(s) * w_1, p.alpha(s) * w_2)
            x_s = x_s + w_1 * (x_0 - known[1][1])
            if len(known) > 2:
                x_s = x_s + w_2 * (known[1][1] - known[2][1])
        return x_s, known[:2]

    def _weights(self, h: Tensor, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Factors of the last difference of x_0 and of the one before it."""
        zero = torch.zeros_like(h)
        _, m_1, m_2 = moments(h, 3)
        last = levels[0] - levels[1]
        straight = torch.isfinite(h) & torch.isfinite(last)
        w_1, w_2 = torch.where(straight, m_1 / last, zero), zero
        if len(levels) > 2:
            before = levels[1] - levels[2]
            # p(v) = f01 v + f012 v (v + last), f012 = (f01 - f12)/(last + before); its v^2 integrates to M_2.
            bend = (m_1 * last + self.curvature * m_2) / (last + before)
            bent = straight & torch.isfinite(before)
            w_1 = torch.where(bent, (m_1 + bend) / last, w_1)
            w_2 = torch.where(bent, -bend / before, zero)
        return w_1, w_2
