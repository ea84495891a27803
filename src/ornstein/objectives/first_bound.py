r"""The first bound of diffusion models, for Gaussian and for binomial chains.

-log p(x_0) <= sum_{n >= 2} KL(q(x_{n-1} | x_n, x_0) || p(x_{n-1} | x_n)) + H_q(X_1 | X_0) + KL(q(x_T | x_0) || p(x_T)), where
the step next to the data is fixed and leaves an entropy; or, where that step is learned too, with -log p(x_0 | x_1) in
the place of the entropy. In nats per dimension of the state. Sohl-Dickstein et al. 2015, eq. 14, with the exact
divergence at the end where the paper has the two entropies H_p(X_T) - H_q(X_T | X_0), which agree for data of unit variance.
"""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Categorical, Dirac, Distribution, Gaussian, kl
from ornstein.core.errors import UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, sum_rest
from ornstein.denoisers.chain_step import ChainStep
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.objectives.bound import step_nats
from ornstein.objectives.categorical import floored
from ornstein.processes.base import GaussianProcess, Reversible
from ornstein.processes.gaussian import VP

First = Literal["fixed", "learned"]


@final
class FirstBound:
    r"""The bound above from one n for each sample, uniform: the sum over n is (their number) times its term.

    ``bins`` is for Gaussian chains whose first step is learned: the values that data in [-1, 1] take, or None for a density.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        codec: Codec,
        steps: int,
        first: First = "fixed",
        bins: int | None = 256,
        cond_dropout: float = 0.0,
    ):
        if steps < 2:
            raise UsageError(f"a chain needs at least 2 steps, got {steps}")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.steps = denoiser, codec, steps
        self.first, self.bins, self.cond_dropout = first, bins, cond_dropout

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        lowest = 2 if self.first == "fixed" else 1
        terms = self.steps - lowest + 1
        n = (rng.integers(terms, (len(x_0),)).double() + lowest).to(x_0.device)
        step = self.step(x_0, n, rng, cond)
        value = terms * step.mean() + self.constant(x_0).mean()
        bits = float(value.detach()) / math.log(2)
        return Loss(value.float(), {"bits_per_dim": bits}, (n / self.steps, step.detach()))

    def step(self, x_0: Tensor, n: Tensor, rng: Random, cond: Cond) -> Tensor:
        """The term of step n ``[B]``, in nats per dimension, ``[B]``."""
        process = self.denoiser.process
        assert isinstance(process, Reversible)
        t, s = expand(n / self.steps, x_0), expand((n - 1) / self.steps, x_0)
        x_t = process.marginal(x_0, t).sample(rng)
        learned = self.law(x_t, t, s, cond)
        if isinstance(process, GaussianProcess):
            assert isinstance(learned, Gaussian)
            return step_nats(learned, process, x_0, x_t, t, s, self.bins)
        return kl(floored(process.reverse(x_t, t, s, Dirac(x_0))), floored(learned)) / x_0[0].numel()

    def law(self, x_t: Tensor, t: Tensor, s: Tensor, cond: Cond) -> Distribution:
        """p(x_s | x_t): what the network says of the step where it speaks of steps, else what its posterior implies."""
        process, denoiser = self.denoiser.process, self.denoiser
        assert isinstance(process, Reversible)
        if isinstance(denoiser, Preconditioned) and isinstance(denoiser.parametrization, ChainStep):
            assert isinstance(process, VP)
            return denoiser.parametrization.law(process, denoiser.output(x_t, t, cond), x_t, t)
        return process.reverse(x_t, t, s, denoiser(x_t, t, cond))

    @torch.no_grad()
    def constant(self, x_0: Tensor) -> Tensor:
        """What no network changes: KL at the end of the chain and, where the first step is fixed, H_q(X_1 | X_0); ``[B]``."""
        process = self.denoiser.process
        end = torch.tensor(process.t_max, dtype=torch.float64, device=x_0.device)
        total = kl(_table(process.marginal(x_0, end)), _table(process.prior(x_0.shape)))
        if self.first == "fixed":
            one = torch.tensor(1 / self.steps, dtype=torch.float64, device=x_0.device)
            total = total + entropy(process.marginal(x_0, one))
        return total / x_0[0].numel()

    @torch.no_grad()
    def total(self, x_0: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        """Every step of the bound, one draw of each: nats per dimension, ``[B]``."""
        value = self.constant(x_0)
        for n in range(self.steps, 1 if self.first == "fixed" else 0, -1):
            at = torch.full((len(x_0),), float(n), dtype=torch.float64, device=x_0.device)
            value = value + self.step(x_0, at, rng, cond)
        return value


def _table(law: Distribution) -> Distribution:
    return law if isinstance(law, Gaussian) else Categorical(law.logits)  # type: ignore[attr-defined]


def entropy(law: Distribution) -> Tensor:
    """Of a diagonal Gaussian or of independent categoricals, in nats, ``[B]``."""
    if isinstance(law, Gaussian):
        var = law.var.double().expand(law.mean.shape)
        return sum_rest(0.5 * (1 + math.log(2 * math.pi) + var.log()))
    log_p = law.logits.double().log_softmax(-1)  # type: ignore[attr-defined]
    p = log_p.exp()
    return -sum_rest(torch.where(p > 0, p * log_p, 0.0).sum(-1))
