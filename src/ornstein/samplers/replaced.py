"""Inpainting without retraining: what is known is put back, at the noise level reached, after every step."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.samplers.around import Around
from ornstein.samplers.base import DenoisingSampler, State


def grey_basis() -> Tensor:
    """An orthonormal basis of colours, ``[3, 3]``, whose first row is grey: what colourising keeps. Song et al. 2021."""
    third, half, sixth = (1 / n**0.5 for n in (3.0, 2.0, 6.0))
    return torch.tensor([[third] * 3, [half, -half, 0.0], [sixth, sixth, -2 * sixth]], dtype=torch.float64)


@final
class Replaced(Around):
    r"""x_s <- mask q_s-draw of the known + (1 - mask) x_s after each step of another sampler.

    ``known [B, ...]`` is the encoded data where ``mask`` (0 or 1, broadcasting against it) is 1. With ``basis`` ``[C, C]``
    known, mask and replacement are in a rotated space of channels: with :func:`grey_basis` and a mask of the first channel it
    colourises. The draws are not drawn jointly with the rest, and so the result is only near the conditional law; more levels
    and a corrector bring it nearer. Song et al. 2021, 2011.13456, appendix I.
    """

    def __init__(self, sampler: DenoisingSampler, known: Tensor, mask: Tensor, basis: Tensor | None = None):
        if not bool(((mask == 0) | (mask == 1)).all()):
            raise UsageError("a mask of what is known must hold 0 and 1 only")
        if known.ndim < 2:
            raise UsageError(f"known data must be [B, ...], got shape {tuple(known.shape)}")
        if basis is not None and known.shape[1] != len(basis):
            raise UsageError(
                f"a basis of {len(basis)} channels does not fit data of {known.shape[1]}; colourising needs colours"
            )
        super().__init__(sampler)
        self.process: Any = sampler.process
        self.known, self.mask, self.basis = known, mask, basis

    def _turn(self, x: Tensor, back: bool = False) -> Tensor:
        if self.basis is None:
            return x
        m = self.basis.to(x)
        return torch.einsum("dc,bc...->bd...", m.T if back else m, x)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        x_s, state = self.sampler.step(x_t, t, s, state, rng, cond)
        known, mask = self.known.to(x_s), self.mask.to(x_s)
        drawn = self.process.marginal(known, s).sample(rng)
        turned = self._turn(x_s)
        return self._turn(mask * self._turn(drawn) + (1 - mask) * turned, back=True), state
