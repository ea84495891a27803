"""Classifier-free guidance against another condition: a negative prompt."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core import cond as conditions
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Posterior
from ornstein.core.errors import UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.rescale import rescaled
from ornstein.processes.base import Affine

PREFIX = "negative_"


@final
class NegativeCFG(Denoiser):
    r"""E[x_0] = u + scale (c - u), with u under the condition to keep away from: ``negative_NAME`` stands in for ``NAME``.

    ``rescale`` phi brings the noise estimate's deviation back to that of the conditional one, eps <- eps (phi std(eps_c) /
    std(eps) + 1 - phi) per sample, against over-exposure at strong scales (Lin et al. 2023, section 3.4, on eps). Both
    branches are one network call on a doubled batch, the negative one first.
    """

    process: Affine

    def __init__(self, denoiser: Denoiser, scale: float, rescale: float = 0.0):
        super().__init__()
        if not 0 <= rescale <= 1:
            raise UsageError(f"guidance rescale lies in [0, 1], got {rescale}")
        if rescale and not isinstance(denoiser.process, Affine):
            raise UsageError(f"guidance rescale needs an Affine process; {type(denoiser.process).__name__} is not")
        self.denoiser, self.process = denoiser, denoiser.process  # type: ignore[assignment]
        self.scale, self.rescale = scale, rescale

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        positive = {k: v for k, v in cond.items() if not k.startswith(PREFIX)}
        if self.scale == 1:
            return self.denoiser(x_t, t, positive)
        known = {k for k in positive if PREFIX + k in cond}
        if not known:
            raise UsageError("guidance against a negative condition needs one: give the prompt a negative prompt")
        negative = {k: cond[PREFIX + k] if k in known else v for k, v in positive.items()}
        t = expand(t, x_t)
        t2 = t if t.ndim == 0 else torch.cat([t, t])
        both = self.denoiser(torch.cat([x_t, x_t]), t2, conditions.cat([negative, positive])).mean
        u, c = both.chunk(2)
        x_0 = torch.lerp(u, c, self.scale)
        if self.rescale:
            x_0 = rescaled(self.process, x_t, t, x_0, c, self.rescale)
        return Dirac(x_0)
