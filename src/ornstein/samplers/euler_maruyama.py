"""Euler-Maruyama for the reverse-time SDE."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.processes.base import SDE, Affine
from ornstein.samplers.base import DenoisingSampler, State


@final
class EulerMaruyama(DenoisingSampler):
    r"""x_s = move(x_t, -(f - G G' score) (t - s) + G sqrt(t - s) z), weak order 1.

    On a flat process the step to t = 0 returns E[x_0] (the denoising step of Jolicoeur-Martineau et al. 2020); on a
    curved one it is the same step without noise. Song et al. 2021, appendix E.
    """

    needs = SDE
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        posterior = self.denoiser(x_t, t, cond)
        score = p.score(x_t, t, posterior)
        h, root, inner = cast(x_t, t - s, (t - s).sqrt(), s > 0)
        back = p.diffuse(p.diffuse(score, t), t) - p.drift(x_t, t)
        noise = p.diffuse(rng.between(x_t, t, s), t)
        x_s = p.move(x_t, h * back + inner * root * noise)
        if isinstance(p, Affine):
            x_s = torch.where(s > 0, x_s, posterior.mean)
        return x_s, None

    def start(self) -> float:
        """Just below t = 1 where the diffusion is infinite there (flow matching), else the process's own start."""
        p = self.process
        if isinstance(p, Affine) and bool((p.alpha(torch.tensor(p.t_max, dtype=torch.float64)) == 0).any()):
            return 0.999
        return float(p.t_max)
