r"""Temporal warping error: how much frames change beyond what moving pixels explain. Lai et al. 2018, 1808.00449.

E = mean_t mean_{p not occluded} |V_t(p) - V_{t+1}(p + F_t(p))|^2 with values in [0, 1]. A pixel is occluded where it leaves
the frame, or where going and coming back do not meet: |F + B|^2 > 0.01 (|F|^2 + |B|^2) + 0.5 (Ruder et al. 2016). A still
clip has no error, so the mean displacement is given beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import unknown
from ornstein.evaluation.video.features import LUMA
from ornstein.evaluation.video.flow import Flow, block_flow, tvl1_flow, warp_back


@final
@dataclass(frozen=True)
class Warping:
    """``error``: squared, of values in [0, 1]; NaN where everything is occluded. ``motion``: mean displacement in pixels."""

    error: float
    motion: float


def flow_by_name(name: str, block: int, radius: int) -> Flow:
    """``block`` or ``tvl1``."""
    known: dict[str, Flow] = {"block": partial(block_flow, block=block, radius=radius), "tvl1": tvl1_flow}
    if name not in known:
        raise unknown("optical flow", name, known)
    return known[name]


def warping(clip: Tensor, flow: Flow) -> Warping:
    """Of a clip uint8 ``[T, C, H, W]``; flow is sought in its luma."""
    x = clip.double() / 255
    luma = x[:, 0] if x.shape[1] == 1 else torch.einsum("tchw,c->thw", x, torch.tensor(LUMA, dtype=x.dtype))
    errors, motions = [], []
    for t in range(len(x) - 1):
        forth, back = flow(luma[t], luma[t + 1]).double(), flow(luma[t + 1], luma[t]).double()
        moved, inside = warp_back(x[t + 1], forth)
        returned, _ = warp_back(back, forth)
        apart = (forth + returned).square().sum(0)
        length = forth.square().sum(0) + returned.square().sum(0)
        seen = inside & (apart <= 0.01 * length + 0.5)
        errors.append((x[t] - moved).square().mean(0)[seen].mean())
        motions.append(forth.square().sum(0).sqrt().mean())
    return Warping(float(torch.stack(errors).nanmean()), float(torch.stack(motions).mean()))
