r"""A chain whose step next to the data is not learned."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Categorical, Gaussian, Posterior
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser


@final
class FixedFirst(Denoiser):
    r"""p(x_0 | x_1) = q(x_1 | x_0) with the two exchanged, at t <= 1/T; another denoiser above.

    The forward chain leaves its own noise law as it is, and there one step back is as likely as one step forth: this is the
    reverse step of a chain without data, which the first step nearly is. Sohl-Dickstein et al. 2015, appendix B.2.
    """

    def __init__(self, denoiser: Denoiser, steps: int):
        super().__init__()
        if steps < 2:
            raise UsageError(f"a chain needs at least 2 steps, got {steps}")
        self.denoiser, self.steps, self.process = denoiser, steps, denoiser.process

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        first = t <= (1 + 1e-6) / self.steps
        if not bool(first.any()):
            return self.denoiser(x_t, t, cond)
        fixed = self.process.marginal(x_t, t.clamp(max=1 / self.steps))
        if bool(first.all()):
            return fixed if isinstance(fixed, Gaussian) else Categorical(fixed.logits)  # type: ignore[attr-defined]
        learned = self.denoiser(x_t, t, cond)
        if isinstance(learned, Gaussian) and isinstance(fixed, Gaussian):
            var = torch.where(first, fixed.var, learned.var)
            return Gaussian(torch.where(first, fixed.mean, learned.mean), var)
        if isinstance(learned, Categorical) and isinstance(fixed, Categorical):
            logits = torch.where(first.unsqueeze(-1), fixed.logits.to(learned.logits), learned.logits)
            return Categorical(logits)
        raise CapabilityError(
            f"a fixed first step joins Gaussian or categorical posteriors; {type(learned).__name__} is neither"
        )
