"""The variance of x_0 that a model's own noise predictions imply, one number for each step of the chain."""

from __future__ import annotations

import math
import warnings
from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, mean_rest
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess

TOLERANCE = 0.05
"""How far above 1 a table's entry may be for the error of a finite sample."""


class VarianceWarning(UserWarning):
    """A table of noise predictions that no model of the data can have."""


def largest_variance(data_range: tuple[float, float] | None) -> float:
    """The variance that no law on [low, high] exceeds, ((high - low)/2)^2; infinite where the range is not given."""
    if data_range is None:
        return math.inf
    low, high = data_range
    if not low < high:
        raise UsageError(f"data_range must be (low, high) with low < high, got {data_range}")
    return ((high - low) / 2) ** 2


@final
class AnalyticVariance(Denoiser):
    r"""Another denoiser's mean with Var[x_0 | x_t] = sigma_t^2/alpha_t^2 (1 - Gamma_t), Gamma_t = E|eps_theta|^2/D.

    The one number for each level that is best for the variational bound when the mean is E[x_0 | x_t]. It lies between 0 and
    sigma_t^2/alpha_t^2, and for data of a known range below ((high - low)/2)^2 too. Bao et al. 2022, 2201.06503, theorems 1
    and 2. Gamma_t is a mean over noised data, taken once: :meth:`add`, with any number of samples at any of the ``steps``
    times n/steps of the chain. Between measured times 1 - Gamma is interpolated.

    Args:
        denoiser: of a Gaussian process.
        steps: T, the length of the table.
        data_range: where the data lie; (-1, 1) for images. None: unknown, and no bound.
    """

    process: GaussianProcess
    gap: Tensor
    count: Tensor

    def __init__(self, denoiser: Denoiser, steps: int, data_range: tuple[float, float] | None = None):
        super().__init__()
        if not isinstance(denoiser.process, GaussianProcess):
            raise CapabilityError(
                f"an analytic variance needs a Gaussian process; {type(denoiser.process).__name__} is not"
            )
        if steps < 1:
            raise UsageError(f"a table of variances needs at least one step, got {steps}")
        self.denoiser, self.process, self.steps = denoiser, denoiser.process, steps
        self.bound = largest_variance(data_range)
        # 1 - Gamma rather than Gamma: it is tiny at the noisy end, and survives an export in half precision.
        self.register_buffer("gap", torch.zeros(steps))
        self.register_buffer("count", torch.zeros(steps, dtype=torch.int64))

    @classmethod
    def from_table(
        cls, denoiser: Denoiser, steps: int, gamma: Tensor, data_range: tuple[float, float] | None = None
    ) -> AnalyticVariance:
        """With a table Gamma_1 .. Gamma_T that was measured before; entries above 1 are taken for 1.

        Raises:
            UsageError: not ``steps`` entries, or entries that are negative or not numbers.
        """
        self = cls(denoiser, steps, data_range)
        gamma = torch.as_tensor(gamma, dtype=torch.float64)
        if gamma.shape != (steps,):
            raise UsageError(
                f"the table of a chain of {steps} steps has {steps} entries, one for each training time; got shape "
                f"{tuple(gamma.shape)}"
            )
        if not bool((gamma >= 0).all()):
            raise UsageError("the entries of a table of E|eps|^2/D are numbers of at least 0; measure it anew")
        if float(gamma.max()) > 1 + TOLERANCE:
            n = int(gamma.argmax())
            warnings.warn(
                f"E|eps_theta|^2/D is {float(gamma[n]):.3g} at step {n + 1} of {steps}; no mean of the noise exceeds 1 on "
                "average, so the model or its data are at fault. Taken for 1: no variance there",
                VarianceWarning,
                stacklevel=2,
            )
        self.gap.copy_(1 - gamma.clamp(max=1))
        self.count.fill_(1)
        return self

    @torch.no_grad()
    def add(self, x_0: Tensor, n: Tensor, rng: Random, cond: Cond = NO_COND) -> None:
        r"""Take encoded data into the mean: x_0 ``[B, ...]`` noised to the steps n of the chain, ``[B]`` in 1 .. T.

        Averages (|eps|^2 - |eps_theta|^2)/D, whose expectation is 1 - Gamma_t: the noise that was drawn is known, and
        subtracting its own square takes most of the spread out of the mean.
        """
        if not bool(((n >= 1) & (n <= self.steps)).all()):
            raise UsageError(f"the steps of the chain are 1 .. {self.steps}, got {int(n.min())} .. {int(n.max())}")
        t = expand(n.double() / self.steps, x_0)
        alpha, sigma = cast(x_0, self.process.alpha(t), self.process.sigma(t))
        eps = rng.normal_like(x_0)
        x_t = alpha * x_0 + sigma * eps
        found = self.process.eps(x_t, t, self.denoiser(x_t, t, cond).mean)
        value = mean_rest(eps.double() ** 2 - found.double() ** 2).to(self.gap)
        index = (n - 1).to(self.gap.device)
        more = torch.zeros_like(self.count).index_add_(0, index, torch.ones_like(index))
        total = torch.zeros_like(self.gap).index_add_(0, index, value)
        whole = self.count + more
        self.gap.copy_(torch.where(more > 0, (self.gap * self.count + total) / whole.clamp_min(1), self.gap))
        self.count.copy_(whole)

    def gaps(self) -> Tensor:
        """1 - Gamma at each step of the chain, in [0, 1], ``[T]`` float64; interpolated where nothing was measured."""
        known = (self.count > 0).nonzero().flatten()
        if len(known) == 0:
            raise CapabilityError(
                "no variance was measured yet: train the system, or give noised data to AnalyticVariance.add"
            )
        n = torch.arange(self.steps, device=known.device)
        above = torch.searchsorted(known, n).clamp(max=len(known) - 1)
        below = (torch.searchsorted(known, n, right=True) - 1).clamp_min(0)
        low, high = known[below], known[above]
        gap = self.gap.double().clamp(0, 1)
        weight = ((n - low) / (high - low).clamp_min(1)).clamp(0, 1)
        return gap[low] + weight * (gap[high] - gap[low])

    def variance(self, t: Tensor) -> Tensor:
        """Var[x_0 | x_t] at times of any shape."""
        gaps = self.gaps()
        place = (t * self.steps - 1).clamp(0, self.steps - 1)
        low = place.floor().long()
        high = (low + 1).clamp(max=self.steps - 1)
        gap = gaps[low] + (place - low) * (gaps[high] - gaps[low])
        limit = (-self.process.log_snr(t)).exp()
        return (limit * gap).clamp(max=self.bound)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Gaussian:
        t = expand(t, x_t)
        (var,) = cast(x_t, self.variance(t))
        return Gaussian(self.denoiser(x_t, t, cond).mean, var)
