"""From discrete data to a density: noise within the bins, and the bound that it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import DataError
from ornstein.core.rng import Random
from ornstein.likelihood.base import Estimator

ToState = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Values in units of a bin, float -> the state, and log |d state / d value| of each sample."""


class Dequantisation(nn.Module, ABC):
    """A law q(u | x) of the noise u in [0, 1) that is added to integers."""

    @abstractmethod
    def draw(self, x: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        """u, float64 of x's shape, and log q(u | x), ``[B]``."""


@final
class Uniform(Dequantisation):
    """u ~ U[0, 1): log q = 0. Theis et al. 2016, 1511.01844."""

    def draw(self, x: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        u = rng.uniform(x.shape, dtype=torch.float64, device=x.device)
        return u, torch.zeros(len(x), dtype=torch.float64, device=x.device)


@final
class Dequantised(Estimator):
    r"""log P(x) >= E_{u ~ q(. | x)} [log p(x + u - 1/2) - log q(u | x)] for integers x, p the density of another estimator.

    Bins are centred on the integers. Several draws under ``importance`` give log (1/K) sum p/q, which is tighter
    (Hoogeboom et al. 2020, 2001.11235).
    """

    def __init__(self, estimator: Estimator, noise: Dequantisation, to_state: ToState):
        super().__init__(estimator.denoiser)
        self.estimator, self.noise, self.to_state = estimator, noise, to_state

    def weighs(self, x: Tensor) -> bool:
        return self.estimator.weighs(x)

    def draws(self, x: Tensor, rng: Random, cond: Cond = NO_COND, repeats: int = 1) -> Tensor:
        if x.is_floating_point():
            raise DataError(f"dequantisation takes integers, got {x.dtype}: continuous data need none")
        out = []
        for _ in range(repeats):
            u, log_q = self.noise.draw(x, rng)
            state, volume = self.to_state(x.double() + u - 0.5)
            out.append(self.estimator.draws(state, rng, cond, 1)[0] + volume - log_q)
        return torch.stack(out)
