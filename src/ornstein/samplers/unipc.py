"""UniPC: a predictor and a corrector of the same family, one evaluation a step."""

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
from ornstein.samplers.exponential import weights
from ornstein.samplers.levels import exponential_euler


@final
class UniPC(DenoisingSampler):
    r"""x_s = sigma_s/sigma_t x_t + alpha_s ((1 - e^{-h}) x_0 + sum_k w_k (x_0^k - x_0)), corrected once x_0 at s is known.

    The predictor UniP-p reads p values of x_0, the corrector UniC-p reads the new one as well; its own evaluation serves the
    next step, so that the pair has order p + 1 at one evaluation a step. The weights make polynomials exact, so that B(h)
    matters only where one difference is used (UniP-2 and UniC-1): there int e^{-(h-v)} v dv is h B(h)/2, B_1 = h or B_2 = 1 -
    e^{-h}. The state at the end is predicted, not corrected. Steps from alpha = 0 and to t = 0 are DDIM's. Zhao et al. 2023,
    2302.04867. State: (x, t) of the former step, (lambda, x_0) of the last ``p``
    steps, and the order of that step's predictor.
    """

    needs = Affine
    order: ClassVar[int] = 4
    history: ClassVar[int] = 3

    def __init__(self, denoiser: Denoiser, variant: Literal["bh1", "bh2"] = "bh2", p: Literal[1, 2, 3] = 3):
        super().__init__(denoiser)
        if variant not in ("bh1", "bh2"):
            raise UsageError(f"variant must be 'bh1' or 'bh2', got '{variant}'")
        if p not in (1, 2, 3):
            raise UsageError(
                f"p, the order of the predictor, must be 1, 2 or 3: the history is {self.history} steps; got {p}"
            )
        self.variant, self.p = variant, p

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        return self.advance(x_t, t, s, state, cond, self.p)

    def advance(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, cond: Cond, p: int, correct: bool = True
    ) -> tuple[Tensor, State]:
        """A step with a predictor of order ``p``; the former one's end is corrected at its own order, if at all."""
        x_0 = self.denoiser(x_t, t, cond).mean
        new = (self.process.log_snr(t) / 2, x_0)
        known: tuple[tuple[Tensor, Tensor], ...] = ()
        if state is not None:
            x_prev, t_prev, known, p_prev = state
            if correct:
                base, *older = known
                x_t = self._move(x_prev, t_prev, t, base, [new, *older[: p_prev - 1]])
        x_s = self._move(x_t, t, s, new, known[: p - 1])
        return x_s, (x_t, t, (new, *known)[: self.p], p)

    def _move(
        self,
        x: Tensor,
        t: Tensor,
        s: Tensor,
        base: tuple[Tensor, Tensor],
        others: list[tuple[Tensor, Tensor]] | tuple[tuple[Tensor, Tensor], ...],
    ) -> Tensor:
        p = self.process
        x_s = exponential_euler(p, x, t, s, base[1])
        if not others:
            return x_s
        h = p.log_snr(s) / 2 - base[0]
        half = h / 2 * (h if self.variant == "bh1" else -torch.expm1(-h))
        factors = weights(h, [level - base[0] for level, _ in others], half)
        for factor, (_, value) in zip(factors, others, strict=True):
            (w,) = cast(x, p.alpha(s) * factor)
            x_s = x_s + w * (value - base[1])
        return x_s
