"""Guidance by the gradient of a reward, or of minus an energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import unknown
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.branches import moved
from ornstein.guidance.tilt import gradient_of, require_gaussian, tilted
from ornstein.processes.base import GaussianProcess


@final
class Reward(Denoiser):
    r"""Draws from p(x_0) exp(scale r(x_0)), up to how well the reward is known at a noisy state.

    The exact score adds \nabla log E[exp(scale r(x_0)) | x_t]. ``at="estimate"`` takes r(E[x_0 | x_t]) for it, with the
    gradient through the denoiser, which is exact for linear rewards of Gaussian data (Bansal et al. 2023, 2302.07121; Chung
    et al. 2023, 2209.14687); ``at="state"`` takes r(x_t), for rewards that were learned on noisy states (Janner et al.
    2022, 2205.09991).
    """

    process: GaussianProcess

    def __init__(
        self,
        denoiser: Denoiser,
        reward: Callable[[Tensor], Tensor],
        scale: float = 1.0,
        at: Literal["estimate", "state"] = "estimate",
    ):
        super().__init__()
        if at not in ("estimate", "state"):
            raise unknown("place of a reward", at, ("estimate", "state"))
        self.denoiser, self.process = denoiser, require_gaussian("guidance by a reward", denoiser)
        self.reward, self.scale, self.at = reward, scale, at

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        posterior = self.denoiser(x_t, t, cond)

        def value(x: Tensor) -> Tensor:
            return self.reward(self.denoiser(x, t, cond).mean if self.at == "estimate" else x)

        gradient = gradient_of(value, x_t, "the reward")
        return moved(posterior, tilted(self.process, posterior.mean, t, self.scale * gradient))
