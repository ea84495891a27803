"""Boxes of a picture to what is in them: a backbone, features of each box, and a cascade of heads that correct the boxes."""

from __future__ import annotations

from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.boxes import corners
from ornstein.core.errors import UsageError
from ornstein.core.instances import FILTERS, MAPS, Found
from ornstein.networks.layers.attention import attend, check_head
from ornstein.networks.layers.embedding import Sinusoidal

SPAN = 7
"""Samples along a box's side."""


def box_features(features: Tensor, boxes: Tensor, span: int = SPAN) -> Tensor:
    """``[B, C, h, w]`` at the centres of ``span x span`` cells of corners ``[B, N, 4]``: ``[B, N, C, span, span]``.

    Bilinear, without rounding, as RoI-align with one sample a cell (He et al. 2017); what lies outside the picture is 0.
    """
    b, n = boxes.shape[:2]
    cell = (torch.arange(span, device=boxes.device) + 0.5) / span
    x = boxes[..., 0:1] + (boxes[..., 2:3] - boxes[..., 0:1]) * cell
    y = boxes[..., 1:2] + (boxes[..., 3:4] - boxes[..., 1:2]) * cell
    grid = torch.stack([x[:, :, None].expand(b, n, span, span), y[..., None].expand(b, n, span, span)], -1)
    seen = F.grid_sample(features.float(), (2 * grid - 1).flatten(1, 2).float(), align_corners=False)
    return seen.unflatten(2, (n, span)).movedim(2, 1)


def _convs(*widths: int, stride: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [nn.Conv2d(a, b, 3, stride=stride if i == 0 else 1, padding=1), nn.GroupNorm(1, b), nn.SiLU()]
    return nn.Sequential(*layers)


@final
class Head(nn.Module):
    """One corrector: boxes look at each other, at the picture inside (by filters made of the box's vector), and at the time.

    Sun et al. 2021 (2011.12450) for the dynamic filters, Chen et al. 2022 (2211.09788) for the time.
    """

    def __init__(self, width: int, kinds: int, head: int, inner: int):
        super().__init__()
        self.heads, self.inner = check_head("Head", width, head), inner
        self.qkv, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.filters = nn.Linear(width, 2 * width * inner)
        self.within = nn.ModuleList([nn.LayerNorm(inner), nn.LayerNorm(width)])
        self.pooled = nn.Linear(width * SPAN**2, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.kind, self.change = nn.Linear(width, kinds), nn.Linear(width, 4)
        self.mask = nn.Linear(width, FILTERS)
        nn.init.constant_(self.kind.bias, -4.6)  # focal loss: at first everything is background with probability .99
        nn.init.zeros_(self.change.weight)

    def forward(self, own: Tensor, inside: Tensor, boxes: Tensor, emb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The boxes' vectors ``[B, N, width]``, kinds, corrected boxes (centre and size), filters of masks."""
        b, n, c = own.shape
        q, k, v = self.qkv(own).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        own = self.norms[0](own + self.mixed(attend(q, k, v).transpose(1, 2).reshape(b, n, c)))
        first, second = self.filters(own).chunk(2, -1)
        y = inside.flatten(3).mT  # [B, N, cells, width]
        y = F.silu(self.within[0](y @ first.reshape(b, n, c, self.inner)))
        y = F.silu(self.within[1](y @ second.reshape(b, n, self.inner, c)))
        own = self.norms[1](own + self.pooled(y.flatten(2)))
        own = self.norms[2](own + self.mlp(own))
        scale, shift = self.time(emb)[:, None].chunk(2, -1)
        told = own * (1 + scale) + shift
        d = self.change(told).float()
        at = boxes[..., :2] + d[..., :2] * boxes[..., 2:]
        size = boxes[..., 2:] * d[..., 2:].clamp(-3, 3).exp()
        return own, self.kind(told), torch.cat([at, size], -1), self.mask(told)


@final
class InstanceNet(nn.Module):
    """``(image [B, C, H, W], boxes [B, N, 4] centre and size, t [B]) -> Found`` of every head, the last one being the answer.

    Features are taken at stride 2, with those of stride 4 added; gradients do not pass from a head's boxes to the next one's.
    """

    def __init__(self, *, channels: int, kinds: int, width: int = 64, heads: int = 2, head: int = 32, inner: int = 16):
        super().__init__()
        if heads < 1 or kinds < 1:
            raise UsageError(f"a detector needs at least one head and one kind, got {heads} and {kinds}")
        self.fine, self.coarse = _convs(channels, width, width, stride=2), _convs(width, width, width, stride=2)
        self.lateral = nn.Conv2d(width, width, 1)
        self.maps = nn.Sequential(_convs(width, width), nn.Conv2d(width, MAPS, 1))
        self.noise = nn.Sequential(Sinusoidal(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.heads = nn.ModuleList(Head(width, kinds, head, inner) for _ in range(heads))

    def forward(self, image: Tensor, boxes: Tensor, t: Tensor) -> list[Found]:
        fine = self.fine(image)
        coarse = F.interpolate(self.coarse(fine), size=fine.shape[-2:], mode="nearest")
        features = self.lateral(fine) + coarse
        maps, emb = self.maps(features).float(), self.noise(t)
        own: Tensor | None = None
        out = []
        for head in self.heads:
            boxes = boxes.detach()
            inside = box_features(features, corners(boxes))
            own, logits, boxes, filters = head(inside.mean((-2, -1)) if own is None else own, inside, boxes, emb)
            out.append(Found(logits.float(), boxes, filters.float(), maps))
        return out
