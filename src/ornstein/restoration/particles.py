"""Sequential Monte Carlo: particles that are guided, weighted by what the guidance got wrong, and resampled."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Gaussian, Posterior
from ornstein.core.errors import UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, sum_rest
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.restoration.gradients import with_gradient
from ornstein.samplers.base import DenoisingSampler, State


@final
class Particles(DenoisingSampler):
    r"""Twisted diffusion sampling: ``count`` particles of each sample, proposed by N(mu + v grad log h_t, v), v the kernel's.

    h_t(x) = N(y; A E[x_0 | x_t], r_t^2 A A' + noise^2 I), as in pseudoinverse guidance, twists the target at each level; a
    particle's weight gains p(x_s | x_t) h_s(x_s) / (q(x_s | x_t) h_t(x_t)), and at t = 0 h_0 is the likelihood itself, so the
    weighted particles become draws of the posterior as their number grows, whatever the twist got wrong. They are resampled
    (systematically) when their effective number falls below ``threshold``. Wu et al. 2023, 2306.17775, algorithm 1.

    The state holds ``count`` particles in x's place, ``[B count, ...]``; the step to s = 0 returns one of each sample, drawn
    by weight. Noise 0 is taken as ``floor``.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 0
    stochastic: ClassVar[bool] = True
    single_level: ClassVar[bool] = True

    def __init__(
        self,
        denoiser: Denoiser,
        measurement: Measurement,
        count: int = 16,
        threshold: float = 0.5,
        data_var: float = 1.0,
        floor: float = 0.02,
    ):
        super().__init__(denoiser)
        if count < 2 or not 0 < threshold <= 1:
            raise UsageError(f"particles need count >= 2 and threshold in (0, 1], got {count} and {threshold}")
        if not data_var > 0 or not floor > 0:
            raise UsageError(f"particles need data_var > 0 and floor > 0, got {data_var} and {floor}")
        self.svd, self.measurement = measurement.spectrum("particles"), measurement
        self.count, self.threshold, self.data_var = count, threshold, data_var
        self.noise = max(measurement.noise, floor)

    def init(self, x: Tensor, t: Tensor) -> State:
        return None

    def _log_twist(self, mean: Tensor, spread: Tensor) -> Tensor:
        """log h of each particle, up to what is equal for all: ``[B count]``."""
        c = self.svd.turn(mean)
        values, kept = self.svd.kept(c)
        y = self.svd.data(self.measurement.y.to(mean)).repeat_interleave(len(mean) // len(self.measurement.y), 0)
        var = spread * values**2 + self.noise**2
        gap = (y - values * c) ** 2 / var + var.log()
        return -0.5 * sum_rest(torch.where(kept, gap, torch.zeros_like(gap)))

    def _twisted(self, x: Tensor, t: Tensor, cond: Cond) -> tuple[Posterior, Tensor, Tensor]:
        """The posterior, log h_t and its gradient."""
        p = self.process
        (spread,) = cast(x, 1 / (1 / self.data_var + (p.alpha(t) / p.sigma(t)) ** 2))
        kept: list[Tensor] = []

        def value(mean: Tensor) -> Tensor:
            kept.append(self._log_twist(mean, spread))
            return kept[0]

        posterior, gradient = with_gradient(self.denoiser, x, t, cond, value, "particles")
        return posterior, kept[0].detach(), gradient

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        if t.ndim:
            raise UsageError("particles move at one time; give a grid for all samples, not one for each")
        p, k = self.process, self.count
        if state is None:
            n = len(x_t)
            # More noise of each sample's own seed, for its other particles.
            more = [x_t, *(p.sigma(t).to(x_t) * rng.normal_like(x_t) for _ in range(k - 1))]
            x_t = torch.stack(more, 1).flatten(0, 1)
            twisted = self._twisted(x_t, t, _repeat(cond, k))
            log_w = twisted[1].reshape(n, k)
        else:
            twisted, log_w = state
            n = len(log_w)
        posterior, log_h, gradient = twisted
        kernel = p.reverse(x_t, t, s, posterior)
        last = bool((s == 0).all())
        if last:
            return self._finish(kernel.mean, log_h, log_w, rng), None
        (var,) = cast(x_t, kernel.var)
        z = torch.stack([rng.normal_like(x_t[:n]) for _ in range(k)], 1).flatten(0, 1)
        proposal = Gaussian(kernel.mean + var * gradient, var)
        x_s = proposal.mean + var.sqrt() * z
        after = self._twisted(x_s, s, _repeat(cond, k))
        gain = kernel.log_prob(x_s) - proposal.log_prob(x_s) + after[1].double() - log_h.double()
        log_w = log_w.double() + gain.reshape(n, k)
        weights = log_w.softmax(1)
        thin = 1 / (weights**2).sum(1) < self.threshold * k
        u = rng.uniform((n,), dtype=torch.float64)
        if bool(thin.any()):
            chosen = torch.where(thin[:, None], _systematic(weights, u), torch.arange(k))
            rows = (torch.arange(n)[:, None] * k + chosen).flatten()
            x_s = x_s[rows]
            after = (_rows(after[0], rows), after[1][rows], after[2][rows])
            log_w = torch.where(thin[:, None], torch.zeros_like(log_w), log_w)
        return x_s, (after, log_w)

    def _finish(self, x_0: Tensor, log_h: Tensor, log_w: Tensor, rng: Random) -> Tensor:
        """One particle of each sample, by its weight under the likelihood itself."""
        n, k = log_w.shape
        exact = self._log_twist(x_0, torch.zeros((), dtype=x_0.dtype, device=x_0.device)).double() - log_h.double()
        return x_0.unflatten(0, (n, k))[torch.arange(n), rng.categorical(log_w + exact.reshape(n, k))]


def _systematic(weights: Tensor, u: Tensor) -> Tensor:
    """Indices ``[B, K]`` drawn by weights ``[B, K]`` with one uniform a row: each about K w times."""
    k = weights.shape[1]
    places = (u[:, None] + torch.arange(k)) / k
    return torch.searchsorted(weights.cumsum(1).contiguous(), places).clamp_max(k - 1)


def _repeat(cond: Cond, k: int) -> Cond:
    return {name: v.repeat_interleave(k, 0) for name, v in cond.items()}


def _rows(posterior: Posterior, rows: Tensor) -> Posterior:
    """Some samples of a law given by its mean and, where it has one, its variance."""
    if isinstance(posterior, Dirac):
        return Dirac(posterior.mean[rows])
    var = posterior.var
    return Gaussian(posterior.mean[rows], var[rows] if var.ndim and len(var) > 1 else var)
