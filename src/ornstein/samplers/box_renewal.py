"""Boxes that find nothing are drawn anew between two steps."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.denoisers.boxes import BoxDenoiser
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import ddim


@final
class BoxRenewal(DenoisingSampler):
    r"""DDIM with eta = 1 on boxes; after each step but the last, those whose best score is at most ``threshold`` become N(0, 1).

    The state holds what every step found, for the ensemble. Each picture of a batch renews its own boxes. Chen et al. 2022
    (2211.09788), section 3.4.
    """

    needs = Affine
    order: ClassVar[int] = 0
    stochastic: ClassVar[bool] = True
    linear: ClassVar[bool] = False

    def __init__(self, denoiser: Denoiser, threshold: float = 0.5):
        super().__init__(denoiser)
        if not isinstance(denoiser, BoxDenoiser):
            raise CapabilityError(
                f"box_renewal needs a denoiser of boxes (diffusion-inst), which has scores; {type(denoiser).__name__} has none. "
                "Take ddim, or leave guidance at 1"
            )
        if not 0 <= threshold <= 1:
            raise UsageError(f"threshold, a score, must lie in [0, 1], got {threshold}")
        self.finder, self.threshold = denoiser, threshold

    def init(self, x: Tensor, t: Tensor) -> State:
        return ()

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        found = self.finder.found(x_t, t, cond)[-1]
        x_s = ddim(self.process, x_t, t, s, self.finder.state(found.boxes), 1.0, rng.normal_like(x_t))
        fresh = rng.normal_like(x_t)
        lost = (found.logits.sigmoid().amax(-1, keepdim=True) <= self.threshold) & (s > 0)
        return torch.where(lost, fresh, x_s), (*state, found)
