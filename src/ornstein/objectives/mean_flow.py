"""MeanFlow: regress the mean velocity between two times on what its own derivative says it must be."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.cond import Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, mean_rest, sum_rest
from ornstein.denoisers.two_time import FlowMapDenoiser
from ornstein.objectives.forward_mode import forward_mode
from ornstein.objectives.times import Times


def total_derivative(
    denoiser: FlowMapDenoiser, x_t: Tensor, t: Tensor, s: Tensor, v: Tensor, cond: Cond
) -> tuple[Tensor, Tensor]:
    """u(x_t, t, s) and du/dt along the flow, v d_x u + d_t u with s held fixed, in one forward-mode pass."""
    with forward_mode():
        x = forward_ad.make_dual(x_t, v)
        now = forward_ad.make_dual(t, torch.ones_like(t))
        u, rate = forward_ad.unpack_dual(denoiser.average(x, now, s, cond))
    if rate is None:
        raise CapabilityError(
            "the network gives no derivative with respect to its input and time: forward-mode is cut off"
        )
    return u, rate


@final
class MeanFlow:
    r"""E w |u(x_t, t, s) - sg(v - (t - s) (v d_x u + d_t u))|^2, v = x_1 - x_0 on x_t = (1 - t) x_0 + t x_1.

    The identity u = v - (t - s) du/dt holds for the mean velocity and for nothing else; where s = t it is flow
    matching. w = 1/sg(|error|^2 + c)^p. Geng et al. 2025, 2505.13447, equations 6 to 12 and 22.

    Args:
        times: the law of both times, sorted; with probability ``equal`` s is t.
        omega, kappa: guidance trained into the map: v <- omega v + kappa u(x_t, t, t | c) + (1 - omega - kappa)
        u(x_t, t, t).
    """

    def __init__(
        self,
        denoiser: FlowMapDenoiser,
        codec: Codec,
        times: Times,
        equal: float = 0.75,
        p: float = 1.0,
        c: float = 0.01,
        omega: float = 1.0,
        kappa: float = 0.0,
        cond_dropout: float = 0.0,
    ):
        if not 0 <= equal <= 1:
            raise UsageError(f"equal, the part of the batch with s = t, must lie in [0, 1], got {equal}")
        if p < 0 or not c > 0:
            raise UsageError(f"the adaptive weight needs p >= 0 and c > 0, got {p} and {c}")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.times = denoiser, codec, times
        self.equal, self.p, self.c = equal, p, c
        self.omega, self.kappa, self.cond_dropout = omega, kappa, cond_dropout

    def spans(self, rng: Random, n: int) -> tuple[Tensor, Tensor]:
        """t and s <= t, ``[n]`` each."""
        a, b = self.times(rng, n), self.times(rng, n)
        # Both draws are stratified in the same order: without a shuffle they would nearly agree.
        b = b[torch.argsort(rng.uniform((n,)))]
        t, s = torch.maximum(a, b), torch.minimum(a, b)
        return t, torch.where(rng.uniform((n,)) < self.equal, t, s)

    @torch.no_grad()
    def _guided(self, v: Tensor, x_t: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """The velocity that guidance of this strength would follow; rows without a condition keep theirs."""
        if not cond or (self.omega == 1 and self.kappa == 0):
            return v
        plain = self.denoiser.average(x_t, t, t, conditions.null(cond))
        mixed = self.omega * v + (1 - self.omega - self.kappa) * plain
        if self.kappa:
            mixed = mixed + self.kappa * self.denoiser.average(x_t, t, t, cond)
        missing = torch.stack([conditions.is_missing(value) for value in cond.values()]).all(0)
        return torch.where(missing.reshape(-1, *[1] * (v.ndim - 1)).to(v.device), v, mixed)

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        t, s = (expand(time.to(x_0.device), x_0) for time in self.spans(rng, len(x_0)))
        x_1 = rng.normal_like(x_0)
        a, b, span = cast(x_0, 1 - t, t, t - s)
        x_t = a * x_0 + b * x_1
        v = self._guided(x_1 - x_0, x_t, t, cond)
        u, rate = total_derivative(self.denoiser, x_t, t, s, v, cond)
        gap = u - (v - span * rate).detach()
        error = sum_rest(gap**2)
        weight = (error.detach() + self.c) ** -self.p
        raw = mean_rest(gap.detach() ** 2)
        return Loss((weight * error).mean(), {"error": float(raw.mean())}, (t.detach().reshape(-1), raw))
