"""Depth as a denoiser's own network sees it: two heads on its inner layers, one that reads many and one that reads few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.shapes import expand, per_sample
from ornstein.core.tapping import run_tapped
from ornstein.denoisers.denoiser import Preconditioned


@final
class DepthHeads(nn.Module):
    """Depth ``[B, 1, H, W]`` in [-1, 1] read from the layers that a denoiser has computed. The denoiser is not part of it.

    ``names`` are the layers that each head reads; a head takes their outputs and ``t [B]``.
    """

    trained: Tensor

    def __init__(self, names: tuple[Sequence[str], Sequence[str]], strong: nn.Module, weak: nn.Module):
        super().__init__()
        self.names = (tuple(names[0]), tuple(names[1]))
        self.strong, self.weak = strong, weak
        self.register_buffer("trained", torch.zeros((), dtype=torch.bool))

    def _run(
        self, denoiser: Preconditioned, x_t: Tensor, t: Tensor, cond: Cond
    ) -> tuple[Tensor, tuple[list[Tensor], list[Tensor]]]:
        strong, weak = self.names
        every = list(dict.fromkeys([*strong, *weak]))
        out, found = run_tapped(denoiser.network, every, lambda: denoiser.output(x_t, t, cond))
        by_name = dict(zip(every, found, strict=True))
        return out, ([by_name[n] for n in strong], [by_name[n] for n in weak])

    def forward(
        self, denoiser: Preconditioned, x_t: Tensor, t: Tensor, cond: Cond = NO_COND
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The network's output, and the depths that the strong and the weak head read on the way to it."""
        t = expand(t, x_t)
        out, (strong, weak) = self._run(denoiser, x_t, t, cond)
        at = per_sample(t, len(x_t))
        return out, self.strong(strong, at), self.weak(weak, at)

    def require(self) -> None:
        """Refuse heads that no training has seen."""
        if not bool(self.trained):
            raise UsageError(
                "the heads that read depth were not trained: train to the last stage, or guide with weights of 0"
            )
