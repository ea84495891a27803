"""The flow as an SDE whose noise can be chosen: every amount has the same marginals."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.flow import velocity


@final
class FlowSDE(DenoisingSampler):
    r"""x_s = x_t - h (v + noise eps) + sqrt(2 noise sigma_t h) z, h = t - s.

    That is dx = (v - D score) dt + sqrt(2 D) dw with D = noise sigma_t. Run backwards in time; the score is
    -eps/sigma_t, so D score = -noise eps stays bounded at the data. noise = 0 is Euler's method on the flow. Albergo,
    Boffi & Vanden-Eijnden 2023, 2303.08797, with the diffusion sigma_t of Ma et al. 2024, 2401.08740. The step to t =
    0 returns E[x_0].
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, noise: float = 0.5):
        super().__init__(denoiser)
        if noise < 0:
            raise UsageError(f"noise must be >= 0, got {noise}")
        self.noise = noise

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        inner = s > 0
        z = rng.normal_like(x_t)
        h, d, root = cast(x_t, t - s, self.noise * (t - s), (2 * self.noise * p.sigma(t) * (t - s)).sqrt())
        x_s = x_t - h * velocity(p, x_t, t, x_0) - d * p.eps(x_t, t, x_0) + root * z
        return torch.where(inner, x_s, x_0), None
