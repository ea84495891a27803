"""DPM-Solver to a tolerance: orders 2 and 3 of the same evaluations."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import exponential_euler
from ornstein.samplers.tolerance import Tolerance, per_row


@final
class DPMAdaptive(DenoisingSampler):
    r"""DPM-Solver-12 or -23: steps in lambda = log(alpha/sigma) as long as the difference of both orders allows.

    Order 2 reads eps at r_1 = 1/2 (with 12) or 1/3 (with 23) of the step, order 3 at 2/3 as well: 2 or 3 evaluations an
    attempt. The grid says where the run stops in between; ``[1, 0]`` is enough. Each sample has its own steps. From alpha = 0
    DDIM leads to lambda = -7, where its error is e^{-14}; from t_min to t = 0 the result is E[x_0]. Lu et al. 2022,
    2206.00927, appendix C, with their first step of 0.05. State: the next step's length.
    """

    needs = Affine
    order: ClassVar[int] = 0
    evaluations: ClassVar[int] = 0
    linear: ClassVar[bool] = False
    single_level: ClassVar[bool] = True

    def __init__(
        self, denoiser: Denoiser, tolerance: float = 0.05, absolute: float = 0.0078, pair: Literal["12", "23"] = "23"
    ):
        super().__init__(denoiser)
        if pair not in ("12", "23"):
            raise UsageError(f"pair must be '12' or '23', got '{pair}'")
        self.tolerance, self.pair = Tolerance(tolerance, absolute), pair

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        t, s = per_row(t, x_t), per_row(s, x_t)
        x = x_t
        if bool((p.alpha(t) == 0).any()):
            near = torch.maximum(p.time(torch.full_like(t, -14.0)), s)
            begin = torch.where(p.alpha(t) == 0, near, t)
            x = torch.where(t == begin, x, exponential_euler(p, x, t, begin, self.denoiser(x, t, cond).mean))
            t = begin
        end = torch.where(s > 0, s, torch.minimum(t, torch.full_like(t, p.t_min)))
        length = torch.full_like(t, 0.05) if state is None else state

        def attempt(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            # A sample that had no way to go is attempted over a step of its own, and the result discarded.
            return self._pair(x, a, torch.where(b == a, a + 0.1, b), cond)

        levels = p.log_snr(t) / 2, p.log_snr(end) / 2
        x_s, length = self.tolerance.integrate(attempt, x, *levels, length, q=int(self.pair[1]))
        if bool((s > 0).all()):
            return x_s, length
        return torch.where(s > 0, x_s, self.denoiser(x_s, end, cond).mean), length

    def _pair(self, x: Tensor, a: Tensor, b: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        """The solution of the higher order from level a to level b, and its difference from the lower."""
        p, h = self.process, b - a
        r_1 = 0.5 if self.pair == "12" else 1 / 3
        t, s, u = p.time(2 * a), p.time(2 * b), p.time(2 * (a + r_1 * h))
        x_0 = self.denoiser(x, t, cond).mean
        first, eps = exponential_euler(p, x, t, s, x_0), p.eps(x, t, x_0)
        x_u = exponential_euler(p, x, t, u, x_0)
        change = p.eps(x_u, u, self.denoiser(x_u, u, cond).mean) - eps
        (weight,) = cast(x, p.sigma(s) * torch.expm1(h) / (2 * r_1))
        second = first - weight * change
        if self.pair == "12":
            return second, second - first
        r_2 = 2 / 3
        v = p.time(2 * (a + r_2 * h))
        w_v, w_s = cast(
            x,
            p.sigma(v) * r_2 / r_1 * (torch.expm1(r_2 * h) / (r_2 * h) - 1),
            p.sigma(s) / r_2 * (torch.expm1(h) / h - 1),
        )
        x_v = exponential_euler(p, x, t, v, x_0) - w_v * change
        third = first - w_s * (p.eps(x_v, v, self.denoiser(x_v, v, cond).mean) - eps)
        return third, third - second
