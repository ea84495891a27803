"""The probability flow to a tolerance: Dormand and Prince's embedded Runge-Kutta pair."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.flow import velocity
from ornstein.samplers.tolerance import Tolerance, per_row

_C = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_A = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_FOURTH = (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)


@final
class AdaptiveRK(DenoisingSampler):
    r"""x_s by steps of order 5 in t, each as long as the difference from order 4 allows: 6 evaluations an attempt.

    The grid says where the run stops in between, not how long the steps are; ``[1, 0]`` is enough. Each sample has its own
    steps, so no sample depends on who shares its batch. The last stretch, from t_min to t = 0, returns E[x_0].
    Dormand & Prince 1980; Song et al. 2021, section 4.3, use it (RK45) with 1e-5. State: the next step's length.
    """

    needs = Affine
    order: ClassVar[int] = 0
    evaluations: ClassVar[int] = 0
    linear: ClassVar[bool] = False

    def __init__(self, denoiser: Denoiser, tolerance: float = 1e-3, absolute: float | None = None):
        super().__init__(denoiser)
        self.tolerance = Tolerance(tolerance, tolerance if absolute is None else absolute)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        t, s = per_row(t, x_t), per_row(s, x_t)
        low = torch.full_like(t, p.t_min)
        end = torch.where(s > 0, s, torch.minimum(t, low))
        length = (t - end) / 10 if state is None else state

        def slope(x: Tensor, at: Tensor) -> Tensor:
            return velocity(p, x, at, self.denoiser(x, at, cond).mean)

        def attempt(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            (h,) = cast(x, b - a)
            ks: list[Tensor] = []
            x_b = x
            for c, row in zip(_C, _A, strict=True):
                x_b = x + h * sum((w * k for w, k in zip(row, ks, strict=True)), torch.zeros_like(x))
                ks.append(slope(x_b, b if c == 1 else a + c * (b - a)))
            fifth = (*_A[-1], 0.0)
            error = sum(((v - w) * k for v, w, k in zip(fifth, _FOURTH, ks, strict=True)), torch.zeros_like(x))
            return x_b, h * error

        x_s, length = self.tolerance.integrate(attempt, x_t, t, end, length, q=5)
        if bool((s > 0).all()):
            return x_s, length
        return torch.where(s > 0, x_s, self.denoiser(x_s, end, cond).mean), length
