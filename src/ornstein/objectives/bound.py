r"""The variational bound of a Gaussian chain, term by term.

-log p(x_0) <= KL(q(x_T | x_0) || p(x_T)) + sum KL(q(x_s | x_t, x_0) || p(x_s | x_t)) - log p(x_0 | x_1), in nats per
dimension. Ho et al. 2020, eq. 5; Nichol & Dhariwal 2021, section 2.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Gaussian, kl
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, mean_rest
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import LearnedRange
from ornstein.processes.base import GaussianProcess

Variance = Literal["learned", "posterior", "large"]


def decoder_nll(x_0: Tensor, mean: Tensor, log_var: Tensor, bins: int | None = None) -> Tensor:
    r"""-log p(x_0 | x_1) per coordinate: a Gaussian, or its mass on x_0's bin where the data take ``bins`` values in [-1, 1].

    A bin reaches half a step to either side of its value, the first and the last to infinity. Ho et al. 2020, eq. 13. The
    mass is a difference of log Phi taken on the side where it is far from 0, so no clamp is needed in the tails.
    """
    x_0, mean, log_var = x_0.double(), mean.double(), log_var.double()
    if bins is None:
        return 0.5 * ((x_0 - mean) ** 2 * (-log_var).exp() + log_var + math.log(2 * math.pi))
    if bins < 2:
        raise UsageError(f"a discretised decoder needs at least 2 bins, got {bins}")
    half, std = 1 / (bins - 1), (0.5 * log_var).exp()
    above = (x_0 - mean + half) / std
    below = (x_0 - mean - half) / std
    first, last = x_0 < -1 + half, x_0 > 1 - half
    # By symmetry the bin is looked at from the lower tail, where log Phi keeps its precision.
    flip = above + below > 0
    high, low = torch.where(flip, -below, above), torch.where(flip, -above, below)
    log_high, log_low = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    inner = log_high + torch.log(-torch.expm1(log_low - log_high))
    return -torch.where(first, torch.special.log_ndtr(above), torch.where(last, torch.special.log_ndtr(-below), inner))


def reverse_law(
    denoiser: Preconditioned,
    out: Tensor,
    x_t: Tensor,
    t: Tensor,
    s: Tensor,
    variance: Variance,
    chain: int,
    clip: float | None = None,
) -> Gaussian:
    """p(x_s | x_t) of a chain trained with ``chain`` steps, from the network's output; of positive variance at s = 0 too.

    There beta~ is 0, and the one of the second step of the training chain stands in for it. ``clip`` bounds |E[x_0]|.
    """
    process, parametrization = denoiser.process, denoiser.parametrization
    assert isinstance(process, GaussianProcess)
    if variance == "learned":
        if not isinstance(parametrization, LearnedRange):
            raise CapabilityError("a learned variance needs a network with a learned range; use 'posterior' or 'large'")
        scale, base = parametrization, parametrization.base
        out, raw = LearnedRange.split(out, x_t)
    else:
        if isinstance(parametrization, LearnedRange):
            out, base = LearnedRange.split(out, x_t)[0], parametrization.base
        else:
            base = parametrization
        scale = LearnedRange(base, chain)
        raw = torch.full_like(out, 1.0 if variance == "large" else -1.0)
    x_0 = base.posterior(process, out, x_t, t).mean
    if clip is not None:
        x_0 = x_0.clamp(-clip, clip)
    mean = process.reverse(x_t, t, s, Dirac(x_0)).mean
    return Gaussian(mean, scale.log_var(process, raw, t, s).exp())


def step_nats(
    law: Gaussian, process: GaussianProcess, x_0: Tensor, x_t: Tensor, t: Tensor, s: Tensor, bins: int | None
) -> Tensor:
    """KL(q(x_s | x_t, x_0) || law), or the decoder's -log p(x_0) where s = 0: nats per dimension, ``[B]``."""
    at_data = (s <= 0).reshape(-1).expand(len(x_0))
    # A law at s = 0 has no variance on the side of q; the two cases are kept apart by an s that is not 0.
    inner = torch.where(s > 0, s, t / 2)
    nats = kl(process.reverse(x_t, t, inner, Dirac(x_0)), law) / x_0[0].numel()
    if bool(at_data.any()):
        mean, var = law.mean[at_data], law.var.expand_as(x_0)[at_data]
        nats = nats.masked_scatter(at_data, mean_rest(decoder_nll(x_0[at_data], mean, var.log(), bins)))
    return nats


@dataclass(frozen=True)
class Bound:
    """Nats per dimension of each data point: ``prior [B]``, ``steps [K, B]`` with the decoder's term last."""

    prior: Tensor
    steps: Tensor

    @property
    def total(self) -> Tensor:
        """``[B]``."""
        return self.prior + self.steps.sum(0)

    @property
    def bits_per_dim(self) -> float:
        """Mean over the data, for data that is discrete."""
        return float(self.total.mean()) / math.log(2)


@torch.no_grad()
def chain_bound(
    denoiser: Preconditioned,
    x_0: Tensor,
    grid: Tensor,
    rng: Random,
    *,
    chain: int,
    variance: Variance = "posterior",
    bins: int | None = 256,
    clip: float | None = None,
    cond: Cond = NO_COND,
) -> Bound:
    """The bound along a decreasing grid that ends at 0 (the whole chain, or a stride through it), one draw of x_t a step.

    Args:
        x_0: encoded data, ``[B, ...]``; in [-1, 1] where it has ``bins`` values.
        chain: T of the chain that was trained, which sets the least variance.
        variance: of the reverse steps.
        bins: None for continuous data: then the last term is a density.
        clip: of the estimate of x_0, for a model that is sampled with one.
    """
    process = denoiser.process
    if not isinstance(process, GaussianProcess):
        raise CapabilityError(
            f"the bound of a Gaussian chain needs a Gaussian process; {type(process).__name__} is not"
        )
    if float(grid[-1]) != 0:
        raise UsageError(f"the bound's grid must end at t = 0, got {float(grid[-1]):.4g}")
    start = expand(grid[0], x_0)
    prior = kl(process.marginal(x_0, start), process.prior(x_0.shape)) / x_0[0].numel()
    steps = []
    for t, s in pairwise(expand(t, x_0) for t in grid):
        x_t = process.marginal(x_0, t).sample(rng)
        law = reverse_law(denoiser, denoiser.output(x_t, t, cond), x_t, t, s, variance, chain, clip)
        steps.append(step_nats(law, process, x_0, x_t, t, s, bins))
    return Bound(prior, torch.stack(steps))
