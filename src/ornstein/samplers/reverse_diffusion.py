"""Reverse diffusion: the reverse-time SDE discretised as its forward chain is."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import every, start_with_signal


@final
class ReverseDiffusion(DenoisingSampler):
    r"""x_s = (2 - a) x_t + g^2 score + g z, a = alpha_t/alpha_s, g^2 = sigma_t^2 - a^2 sigma_s^2; weak order 1.

    The forward step is x_t = a x_s + g z; its drift (a - 1) x and diffusion g are kept in the reverse step. On VP this is
    (2 - sqrt(1 - beta)) x + beta score + sqrt(beta) z. The step to t = 0
    returns E[x_0]. Song et al. 2021, appendix E.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        posterior = self.denoiser(x_t, t, cond)
        score = p.score(x_t, t, posterior)
        var = p.sigma(t) ** 2 * -torch.expm1(p.log_snr(t) - p.log_snr(s))
        a, g2, g = cast(x_t, p.alpha(t) / p.alpha(s), var, var.sqrt())
        x_s = (2 - a) * x_t + g2 * score + g * rng.between(x_t, t, s)
        return torch.where(every(s > 0, t), x_s, posterior.mean), None

    def start(self) -> float:
        return start_with_signal(self.process)
