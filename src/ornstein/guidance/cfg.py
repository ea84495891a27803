"""Classifier-free guidance."""

from __future__ import annotations

from typing import final

from torch import Tensor

from ornstein.guidance.branches import Branched


@final
class CFG(Branched):
    r"""E[x_0] = u + scale (c - u), u and c the estimates without and with the condition; scale 1 is plain conditional.

    Linear in x_0, and so the same rule on eps, v or the score; the paper's w is scale - 1. Ho & Salimans 2022, 2207.12598.
    """

    def combine(self, x_t: Tensor, t: Tensor, c: Tensor, u: Tensor) -> Tensor:
        return u + self.scale * (c - u)
