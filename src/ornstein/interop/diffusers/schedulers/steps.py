"""Steps that differ from this library's samplers by a convention of diffusers; each says by which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Posterior, Ranged
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.interop.diffusers.schedulers.exponential import by_step
from ornstein.processes.base import Affine, GaussianProcess
from ornstein.processes.remember import recall
from ornstein.samplers.base import DenoisingSampler, Sampler, State
from ornstein.samplers.unipc import UniPC


@final
class StridedDDIM(DenoisingSampler):
    """DDIM that always goes back by the same stride, to t - stride and never below ``last``, whatever the grid says next.

    diffusers reads the level of the step's end from a stride of T // steps. With rounded spacings that is not the next
    time of its own list, and the state is treated as if it were. And where a denoiser clips x_0, the noise is still that
    of the unclipped estimate (``raw``).
    """

    needs = Affine

    def __init__(self, denoiser: Denoiser, raw: Denoiser, stride: float, last: float, eta: float):
        super().__init__(denoiser)
        self.raw, self.stride, self.last, self.eta = raw, stride, last, eta

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        end = t - self.stride
        # Entry 0 lies at 1/T: what is below it is `last`.
        s = torch.where(end < 1 / p.schedule.steps - 1e-9, torch.full_like(t, self.last), end)
        raw = self.raw(x_t, t, cond).mean
        x_0 = raw if self.denoiser is self.raw else self.denoiser(x_t, t, cond).mean
        eps = p.eps(x_t, t, raw)

        def factors() -> tuple[Tensor, ...]:
            if self.eta == 0:
                return cast(x_t, p.alpha(s), p.sigma(s), torch.zeros_like(s))
            v = self.eta * p.sigma(s) * (-torch.expm1(p.log_snr(t) - p.log_snr(s))).clamp_min(0).sqrt()
            return cast(x_t, p.alpha(s), (p.sigma(s) ** 2 - v**2).clamp_min(0).sqrt(), v)

        a, b, c = recall(p, ("strided", self.eta, x_t.dtype), (t, s), factors)
        x_s = a * x_0 + b * eps
        return (x_s + c * rng.between(x_t, t, s) if self.eta > 0 else x_s), None


@final
class ChainDDPM(DenoisingSampler):
    """Ancestral sampling with diffusers' end: noise is added after every step but one from entry 0 of the table.

    ``variance`` is diffusers' variance_type: the kernel's own (``fixed_small``), beta (``fixed_large``), or what the
    network places between both logarithms (``learned_range``).
    """

    needs = GaussianProcess

    def __init__(self, denoiser: Denoiser, variance: str):
        super().__init__(denoiser)
        self.variance = variance

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        posterior = self.denoiser(x_t, t, cond)
        kernel = p.reverse(x_t, t, s, Dirac(posterior.mean))

        def factors() -> tuple[Tensor, ...]:
            return p.sigma(t) ** 2 * -torch.expm1(p.log_snr(t) - p.log_snr(s)), *cast(x_t, t > 1.5 / p.schedule.steps)

        large, inner = recall(p, ("chain", x_t.dtype), (t, s), factors)
        return kernel.mean + self._std(x_t, posterior, kernel.var, large) * inner * rng.between(x_t, t, s), None

    def _std(self, x_t: Tensor, posterior: Posterior, small: Tensor, large: Tensor) -> Tensor:
        if self.variance.startswith("fixed"):
            return cast(x_t, large)[0].sqrt() if self.variance == "fixed_large" else small.sqrt()
        assert isinstance(posterior, Ranged)
        high, low = cast(x_t, large.log(), small.double().clamp_min(1e-20).log())
        return (0.5 * (posterior.fraction * high + (1 - posterior.fraction) * low)).exp()


@final
class TaperedUniPC(Sampler[Tensor]):
    """UniPC whose predictor's order, and whether the former step is corrected, are told for each step."""

    def __init__(self, sampler: UniPC, grid: Tensor, orders: Sequence[int], uncorrected: Sequence[int]):
        self.sampler, self.orders = sampler, by_step(grid, orders)
        self.plain = {float(grid[i + 1]) for i in uncorrected if i + 2 < len(grid)}

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        at = float(t.flatten()[0])
        return self.sampler.advance(x_t, t, s, state, cond, self.orders[at], at not in self.plain)
