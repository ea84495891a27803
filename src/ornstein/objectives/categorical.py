"""The variational bound of a chain on a finite set, with a regression of x_0 beside it."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Categorical, Dirac, Distribution, kl
from ornstein.core.errors import UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, sum_rest
from ornstein.denoisers.categorical import CategoricalDenoiser
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Reversible


@final
class CategoricalBound:
    r"""E_n KL(q(x_{n-1} | x_n, x_0) || p(x_{n-1} | x_n)) / D + weight E[-log p~(x_0 | x_n)] / D, n ~ U{1 .. T}, in
    nats.

    At n = 1 the first term is -log p(x_0 | x_1). D3PM's hybrid loss: Austin et al. 2021, 2107.03006, eq. 5.
    """

    def __init__(
        self,
        denoiser: CategoricalDenoiser,
        codec: Codec,
        steps: int,
        weight: float = 0.001,
        cond_dropout: float = 0.0,
    ):
        if steps < 2:
            raise UsageError(f"a chain needs at least 2 steps, got {steps}")
        if weight < 0:
            raise UsageError(f"the weight of the regression of x_0 must be >= 0, got {weight}")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.steps = denoiser, codec, steps
        self.weight, self.cond_dropout = weight, cond_dropout

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        process, cond = self.denoiser.process, batch.cond
        assert isinstance(process, Reversible)
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        n = rng.integers(self.steps, (len(x_0),)).double() + 1
        t, s = (expand((m / self.steps).to(x_0.device), x_0) for m in (n, n - 1))
        x_t = process.marginal(x_0, t).sample(rng)
        logits = self.denoiser.logits(x_t, t, cond)
        learned = process.reverse(x_t, t, s, self.denoiser.posterior(logits, x_t, t))
        bound = kl(floored(process.reverse(x_t, t, s, Dirac(x_0))), floored(learned)) / x_0[0].numel()
        cross = -sum_rest(logits.gather(-1, x_0.unsqueeze(-1)).squeeze(-1)) / x_0[0].numel()
        value = (bound + self.weight * cross).mean()
        logs = {"bound": float(bound.detach().mean()), "cross_entropy": float(cross.detach().mean())}
        return Loss(value.float(), logs, (t.detach().reshape(-1), bound.detach()))


def floored(law: Distribution) -> Categorical:
    """The same law with no probability below 1e-30: a network's underflow must not cost infinitely much."""
    assert isinstance(law, Categorical)
    return Categorical(law.logits.double().clamp_min(-69))


@torch.no_grad()
def chain_bound(denoiser: Denoiser, x_0: Tensor, steps: int, rng: Random, cond: Cond = NO_COND) -> Tensor:
    r"""-log p(x_0) <= KL(q(x_T | x_0) || prior) + sum_n KL(q(x_{n-1} | x_n, x_0) || p(x_{n-1} | x_n)), one draw, ``[B]`` nats."""
    process = denoiser.process
    assert isinstance(process, Reversible)
    end = process.marginal(x_0, torch.tensor(1.0, dtype=torch.float64))
    assert isinstance(end, Categorical)
    total = kl(Categorical(end.logits), Categorical(process.prior(x_0.shape).logits.to(x_0.device)))  # type: ignore[attr-defined]
    for n in range(steps, 0, -1):
        t, s = (torch.tensor(m / steps, dtype=torch.float64) for m in (n, n - 1))
        x_t = process.marginal(x_0, t).sample(rng)
        learned = process.reverse(x_t, t, s, denoiser(x_t, t, cond))
        total = total + kl(floored(process.reverse(x_t, t, s, Dirac(x_0))), floored(learned))
    return total
