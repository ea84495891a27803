"""Multistep consistency sampling: jump to the data, add noise anew, jump again."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State


@final
class Renoise(DenoisingSampler):
    r"""x_s = alpha_s f(x_t, t) + sqrt(sigma_s^2 - sigma_min^2) z, z fresh; f itself at s = 0. Song et al. 2023,
    algorithm 1.

    For denoisers that are consistency functions: f(x_t, t) is a draw of the data at the noise level t_min, where its
    boundary lies. With an ordinary denoiser, which gives the mean of the data, the law of what it returns is wrong.
    """

    needs = Affine
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        low = torch.as_tensor(p.t_min, dtype=torch.float64, device=x_t.device)
        missing = (p.sigma(s) ** 2 - (p.alpha(s) / p.alpha(low) * p.sigma(low)) ** 2).clamp_min(0).sqrt()
        a, b = cast(x_t, p.alpha(s), missing)
        return torch.where(s > 0, a * x_0 + b * rng.normal_like(x_t), x_0), None
