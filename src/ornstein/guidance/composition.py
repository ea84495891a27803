"""Several conditions or models at once: products, and leaving a class out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Posterior
from ornstein.core.errors import UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.autoguidance import check_same


@final
class Given(Denoiser):
    """A denoiser under a condition of its own, one row for the whole batch: ``Given(denoiser, {"label": tensor(3)})``."""

    def __init__(self, denoiser: Denoiser, cond: Mapping[str, Tensor]):
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process
        self.cond = {name: torch.as_tensor(value) for name, value in cond.items()}

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        own = {k: v.to(x_t.device).expand(len(x_t), *v.shape) for k, v in self.cond.items()}
        return self.denoiser(x_t, t, {**cond, **own})


@final
class Composition(Denoiser):
    r"""E[x_0] = D + sum_i w_i (D_i - D): scores of p prod_i (p_i/p)^{w_i}, at each noise level; w_i < 0 moves away from p_i.

    With all w_i = 1 the conjunction of conditions that are independent given x_0: exact at t = 0, and at every t where they
    concern independent coordinates; elsewhere the noised product is not the product of the noised laws. Liu et al. 2022,
    2206.01714, eq. 11-13.
    """

    def __init__(self, denoiser: Denoiser, parts: Sequence[Denoiser], weights: Sequence[float] | None = None):
        super().__init__()
        if not parts:
            raise UsageError("a composition needs at least one part")
        weights = [1.0] * len(parts) if weights is None else list(weights)
        if len(weights) != len(parts):
            raise UsageError(f"{len(weights)} weights were given for {len(parts)} parts; give one for each")
        for part in parts:
            check_same(denoiser.process, part.process)
        self.denoiser, self.process = denoiser, denoiser.process
        self.parts, self.weights = nn.ModuleList(parts), weights

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        base = total = self.denoiser(x_t, t, cond).mean
        for part, weight in zip(self.parts, self.weights, strict=True):
            total = total + weight * (part(x_t, t, cond).mean - base)
        return Dirac(total)


@final
class Without(Denoiser):
    r"""E[x_0 | x_t, not y] = (D - r D_y) / (1 - r), r = p(y | x_t): the data without those of y, exactly.

    ``unwanted`` is the denoiser of y alone, ``log_prob(x_t, t)`` is log r. Where r is close to 1 the difference cancels, so
    r is held at or below ``limit``. The law of total expectation, solved for the rest.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        unwanted: Denoiser,
        log_prob: Callable[[Tensor, Tensor], Tensor],
        limit: float = 0.999,
    ):
        super().__init__()
        if not 0 < limit < 1:
            raise UsageError(f"limit is a probability below 1, got {limit}")
        check_same(denoiser.process, unwanted.process)
        self.denoiser, self.unwanted, self.process = denoiser, unwanted, denoiser.process
        self.log_prob, self.limit = log_prob, limit

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        r = self.log_prob(x_t, t).exp().clamp(max=self.limit).to(x_t).reshape(-1, *[1] * (x_t.ndim - 1))
        whole, part = self.denoiser(x_t, t, cond).mean, self.unwanted(x_t, t, cond).mean
        return Dirac((whole - r * part) / (1 - r))
