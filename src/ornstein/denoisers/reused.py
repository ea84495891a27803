r"""Sampling with a network whose inner part is run at every n-th evaluation only.

Between neighbouring times the coarse features of a U-Net hardly change (DeepCache: Ma, Fang & Wang 2024, 2312.00858), nor does
what the middle blocks of a transformer add (Delta-DiT: Chen et al. 2024, 2406.01125): they are foretold from the last full
evaluations, and only the outer part sees the new state.
"""

from __future__ import annotations

import copy
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.reuse import Inner, Reusable
from ornstein.denoisers.denoiser import Denoiser


@final
class Reused(nn.Module):
    r"""A network that is run in full at calls 0, every, 2 every, ...; in between without its inner part.

    What the part would give is drawn on in a straight line from its last two answers h_1 and h_0, at noise levels c_1 and c_0
    (TaylorSeer: Liu et al. 2025, 2503.06923, order 1): h(c) = h_1 + (c - c_1) / (c_1 - c_0) (h_1 - h_0). With one answer, or
    two at equal levels, it is h_1, as DeepCache has it.

    It holds these answers, and so belongs to one run of a sampler. A call with another number of rows (where an interval of
    guidance begins or ends) is run in full, and counting begins anew.

    Raises:
        UsageError: ``every`` below 1.
        CapabilityError: the network has no part that could be left out.
    """

    def __init__(self, network: nn.Module, every: int):
        super().__init__()
        check_every(every)
        why = network.no_inner if isinstance(network, Reusable) else "only MPUNet, UNet and DiT have one"
        if why:
            raise CapabilityError(f"{type(network).__name__} has no inner part that could be left out: {why}")
        self.network, self.every = network, every
        self._known: tuple[tuple[Tensor, Tensor], ...] = ()
        """level and answer of the last full calls, the latest last"""
        self._calls = 0

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        if self._known and len(self._known[-1][1]) != len(x):
            self._known = ()
        full = not self._known or self._calls == self.every
        inner = Inner(None if full else self._expected(t))
        out: Tensor = self.network(x, t, cond, inner)
        if full:
            assert inner.value is not None
            self._known, self._calls = (*self._known[-1:], (t, inner.value)), 0
        self._calls += 1
        return out

    def _expected(self, t: Tensor) -> Tensor:
        c_1, h_1 = self._known[-1]
        if len(self._known) == 1:
            return h_1
        c_0, h_0 = self._known[0]
        # Not further than the last distance: beyond, a line is no better than what it started from.
        share = torch.where(c_1 == c_0, 0.0, (t - c_1) / (c_1 - c_0)).clamp(-1, 1)
        return torch.lerp(h_1, h_0, -share.to(h_1.dtype).reshape(-1, *[1] * (h_1.ndim - 1)))


def check_every(every: int) -> None:
    """Refuse what is no distance between full evaluations."""
    if every < 1:
        raise UsageError(
            f"cache, the distance between full evaluations of the network, must be at least 1, got {every}"
        )


def reusing(denoiser: Denoiser, every: int) -> Denoiser:
    """A view of the denoiser, of its own parameters, with :class:`Reused` around its network: for one run of a sampler.

    Raises:
        CapabilityError: no network is seen, or none with an inner part.
    """
    for name in ("network", "denoiser"):
        part = denoiser._modules.get(name)
        if part is not None:
            view = copy.copy(denoiser)
            put = reusing(part, every) if isinstance(part, Denoiser) else Reused(part, every)
            view._modules = dict(denoiser._modules) | {name: put}
            return view
    raise CapabilityError(
        f"{type(denoiser).__name__} has no network of which a part could be left out; leave cache out"
    )
