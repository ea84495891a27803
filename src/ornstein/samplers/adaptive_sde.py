"""An SDE solver that chooses its steps by the error of each sample."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, mean_rest, per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import start_with_signal

_SHORTEST = 1e-12


class _Run(NamedTuple):
    """What goes on from step to step: for each sample its step size ``[B]``, the former low-order estimate, and the noise
    that is known for the time ahead because a longer step was rejected (its length ``[B]`` and the increment)."""

    h: Tensor
    former: Tensor
    ahead: Tensor
    known: Tensor


@final
class AdaptiveSDE(DenoisingSampler):
    r"""Euler-Maruyama x' and the stochastic improved Euler x'' with the same noise; x'' is kept where they agree.

    With F = f - g^2 score and dW ~ N(0, h): k_1 = -h F(x, t) + g_t dW, x' = x + k_1, k_2 = -h F(x', t - h) + g_{t-h} dW,
    x'' = x + (k_1 + k_2)/2, E = root mean square of (x' - x'')/delta, delta = max(absolute, relative max(|x'|, |x'_former|)).
    Accepted where E <= 1; then h <- safety h E^{-exponent}. Each sample has steps of its own, within those of the grid,
    and pays two evaluations for each attempt. A rejected step's noise is kept and bridged, where the paper draws anew, which
    prefers small increments. The step to t = 0 goes to t_min and ends with E[x_0]. ``absolute`` 0.0078 is one 8-bit level of
    data in [-1, 1]. Jolicoeur-Martineau et al. 2021, 2105.14080, algorithm 1.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 0
    evaluations: ClassVar[int] = 0
    stochastic: ClassVar[bool] = True
    linear: ClassVar[bool] = False

    def __init__(
        self,
        denoiser: Denoiser,
        relative: float = 0.02,
        absolute: float = 0.0078,
        first: float = 0.01,
        safety: float = 0.9,
        exponent: float = 0.9,
    ):
        super().__init__(denoiser)
        if not 0 < relative < 1 or not absolute > 0:
            raise UsageError(
                f"tolerances need 0 < relative < 1 and absolute > 0, got relative = {relative}, absolute = {absolute}"
            )
        if not 0 < first <= 1 or not 0 < safety < 1 or not 0.5 <= exponent <= 1:
            raise UsageError(
                f"the step control needs 0 < first <= 1, 0 < safety < 1 and exponent in [0.5, 1], got {first}, {safety}, "
                f"{exponent}"
            )
        self.relative, self.absolute = relative, absolute
        self.first, self.safety, self.exponent = first, safety, exponent

    def init(self, x: Tensor, t: Tensor) -> State:
        zeros = torch.zeros(x.shape[0], dtype=torch.float64, device=x.device)
        return _Run(torch.full_like(zeros, self.first), x, zeros, torch.zeros_like(x))

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        b, x, run = x_t.shape[0], x_t, state
        u, s_ = per_sample(t, b).clone(), per_sample(s, b)
        end = torch.minimum(u, torch.where(s_ > 0, s_, torch.full_like(s_, self.process.t_min)))
        while bool((active := u > end).any()):
            x, u, run = self._attempt(x, u, end, active, run, rng, cond)
        if bool((s_ == 0).any()):
            last = expand(s_ == 0, x).bool()
            x = torch.where(last, self.denoiser(x, expand(end, x), cond).mean, x)
        return x, run

    def _attempt(
        self, x: Tensor, u: Tensor, end: Tensor, active: Tensor, run: _Run, rng: Random, cond: Cond
    ) -> tuple[Tensor, Tensor, _Run]:
        """One attempt of every sample that is not at its end; the others are left as they are."""
        p = self.process
        h = torch.where(active, torch.minimum(run.h, u - end), torch.zeros_like(u))
        # Noise of the step: what is known ahead, bridged where it reaches farther and continued where it does not.
        within = h <= run.ahead
        part = torch.where(within, h / run.ahead.clamp_min(_SHORTEST), torch.ones_like(h))
        spread = torch.where(within, h * (1 - part), h - run.ahead).clamp_min(0).sqrt()
        part_, spread_, within_ = cast(x, *(expand(a, x) for a in (part, spread, within.double())))
        dw = part_ * run.known + spread_ * rng.normal_where(x, active)
        rest = within_ * (run.known - dw)

        now = torch.where(active, u, u.clamp_min(p.t_min))  # rows that wait are evaluated, and left as they are
        t, then, h_ = expand(now, x), expand(now - h, x), cast(x, expand(h, x))[0]
        k_1 = h_ * self._back(x, t, cond) + p.diffuse(dw, t)
        low = x + k_1
        k_2 = h_ * self._back(low, then, cond) + p.diffuse(dw, then)
        high = x + (k_1 + k_2) / 2
        delta = (self.relative * torch.maximum(low.abs(), run.former.abs())).clamp_min(self.absolute)
        error = mean_rest(((low - high) / delta).double() ** 2).sqrt()
        self._check(error, h, u, active)

        taken = active & (error <= 1)
        taken_ = expand(taken, x).bool()
        size = self.safety * h * error.clamp_min(1e-8) ** -self.exponent
        return (
            torch.where(taken_, high, x),
            torch.where(taken, torch.where(h >= u - end, end, u - h), u),
            _Run(
                torch.where(active, size.clamp(max=1.0), run.h),
                torch.where(taken_, low, run.former),
                torch.where(taken, run.ahead - h, torch.maximum(run.ahead, h)).clamp_min(0).where(active, run.ahead),
                torch.where(expand(active, x).bool(), torch.where(taken_, rest, dw + rest), run.known),
            ),
        )

    def _back(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """-F: the drift per unit of time towards the data."""
        p = self.process
        score = p.score(x, t, self.denoiser(x, t, cond))
        back: Tensor = p.diffuse(p.diffuse(score, t), t) - p.drift(x, t)
        return back

    def _check(self, error: Tensor, h: Tensor, u: Tensor, active: Tensor) -> None:
        """Refuse to go on where the error is no number, or no step is short enough."""
        for broken, words in (
            (active & ~torch.isfinite(error), "left non-finite values; check the weights"),
            (active & (error > 1) & (h < _SHORTEST), "finds no step short enough; raise its tolerances"),
        ):
            if bool(broken.any()):
                rows = broken.nonzero().flatten().tolist()
                raise OrnsteinError(f"AdaptiveSDE {words} (samples {rows[:8]}, t = {float(u[rows[0]]):.4g})")

    def start(self) -> float:
        return start_with_signal(self.process)
