"""Holding the coarse part of a sample to that of a reference, at the noise level reached."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State


def coarse(x: Tensor, cells: int) -> Tensor:
    """``[..., H, W]``: the orthogonal projection on pictures that averages over ``cells x cells`` areas determine.

    With D the matrix of averages along one side, P = D^+ D along both, and so P P = P: where cells divides the size the blocks'
    means, enlarged; else without the areas' overlaps counted twice.
    """
    if not 1 <= cells <= min(x.shape[-2:]):
        raise UsageError(f"cells lies in 1 .. {min(x.shape[-2:])}, the size of the picture; got {cells}")
    rows, columns = (_projection(n, cells).to(x) for n in x.shape[-2:])
    return rows @ x @ columns


def _projection(size: int, cells: int) -> Tensor:
    average = F.adaptive_avg_pool1d(torch.eye(size, dtype=torch.float64)[:, None], cells)[:, 0].T
    return torch.linalg.pinv(average) @ average


@final
class LowPassed(DenoisingSampler):
    r"""x_s <- x_s - P x_s + P y_s, y_s ~ q(y_s | y), after each step from t > ``until``; P keeps ``cells x cells`` averages.

    The fewer cells, the freer the sample. At s = 0 the coarse part is the reference's own. Choi et al. 2021, 2108.02938; Cheng
    et al. 2022, 2208.12675, whose code noises y to t where x is at s already.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, sampler: DenoisingSampler, reference: Tensor, cells: int, until: float = 0.0):
        if not 0 <= until <= 1:
            raise UsageError(f"until, the time from which the sample is free, lies in [0, 1], got {until}")
        coarse(reference[:1], cells)  # refuses what does not fit
        super().__init__(sampler.denoiser)
        self.sampler, self.reference, self.cells, self.until = sampler, reference, cells, until

    def init(self, x: Tensor, t: Tensor) -> State:
        return self.sampler.init(x, t)

    def start(self) -> float:
        return self.sampler.start()

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        x_s, state = self.sampler.step(x_t, t, s, state, rng, cond)
        reference = self.reference.to(x_s).expand_as(x_s)
        y_s = torch.where(s > 0, self.process.marginal(reference, s).sample(rng), reference)
        return torch.where(t > self.until, x_s + coarse(y_s - x_s, self.cells), x_s), state
