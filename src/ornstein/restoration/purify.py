"""Purification: a picture that was attacked is noised and taken back, held near itself."""

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


@final
class Purify(DenoisingSampler):
    r"""x_s ~ N(mu - w (x_t - a_t), v), a_t ~ q(. | attacked) fresh at each step, w = pull sigma_t/alpha_t v, at most 1.

    mu and v are the ancestral kernel's. The noise drowns the attack, and the pull keeps the content. w is the gradient of a
    squared distance: the authors' scale a on a batch of B pictures of n values is pull = 765 a/(2 ptb n B) 2, for attacks of
    ptb/255; about 60 for CIFAR-10 and B = 32 (their distance is averaged over the batch, so that its strength depends on B).
    No derivative of the network. Wang et al. 2022, 2205.14969, algorithm 1.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, attacked: Tensor, pull: float = 60.0):
        super().__init__(denoiser)
        if not pull >= 0:
            raise UsageError(f"purification needs a pull of at least 0, got {pull}")
        self.attacked, self.pull = attacked, pull

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        kernel = p.reverse(x_t, t, s, self.denoiser(x_t, t, cond))
        var, ratio = cast(x_t, torch.where(s > 0, kernel.var, torch.zeros_like(kernel.var)), p.sigma(t) / p.alpha(t))
        near = p.marginal(self.attacked.to(x_t), t).sample(rng)
        weight = (self.pull * ratio * var).clamp(max=1)
        return kernel.mean - weight * (x_t - near) + var.sqrt() * rng.between(x_t, t, s), None
