"""Finding things again where noise has moved their boxes: the loss of sets of instances."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core.batch import Batch
from ornstein.core.boxes import centred, corners, giou, iou
from ornstein.core.errors import DataError
from ornstein.core.instances import Found, check_instances
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.denoisers.boxes import SMALLEST, BoxDenoiser
from ornstein.objectives.times import Times

NAMES = ("boxes", "kinds", "masks")
"""Conditions of the batch: corners ``[B, M, 4]`` in [0, 1], kinds ``[B, M]`` (-1: none), masks ``[B, M, H, W]``."""
KIND, L1, GIOU, DICE = 2.0, 5.0, 2.0, 5.0
"""Weights of the losses, and of the costs of a match."""
NEAREST = 5
"""Proposals whose overlaps are summed for the number that a thing may have."""


@final
class FindingInstances:
    r"""2 focal + 5 L1 + 2 GIoU + 5 dice, over every head, of proposals that are noisy boxes.

    True boxes are filled up to ``proposals`` by boxes of N(1/2, (1/6)^2), scaled, and noised to a random t. Each thing is matched
    to as many proposals as their five best overlaps add up to, at the least cost. Masks are not noised. Gu et al. 2022
    (2212.02773), with Ge et al. 2021's dynamic k, without its prior on centres.
    """

    def __init__(self, denoiser: BoxDenoiser, codec: Codec, times: Times, proposals: int, kinds: int):
        self.denoiser, self.codec, self.times = denoiser, codec, times
        self.proposals, self.kinds = proposals, kinds

    def start(self, boxes: Tensor, there: Tensor, rng: Random) -> Tensor:
        """``[B, proposals, 4]``, centre and size: the true boxes where there are any, random ones elsewhere."""
        b, m = there.shape
        fresh = (0.5 + rng.normal((b, self.proposals, 4)) / 6).to(boxes)
        fresh = torch.cat([fresh[..., :2], fresh[..., 2:].clamp_min(SMALLEST)], -1)
        filled = torch.where(there[..., None], centred(boxes), fresh[:, :m])
        return torch.cat([filled, fresh[:, m:]], 1)

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        if any(name not in batch.cond for name in NAMES):
            raise DataError(
                f"instances are learned from data with the conditions {', '.join(NAMES)}; these have "
                f"{', '.join(sorted(batch.cond)) or 'none'} (ornstein.data.shapes draws an example)"
            )
        with torch.no_grad():
            image = self.codec.encode(batch.x, rng)
            boxes, kinds, masks = (batch.cond[name] for name in NAMES)
            boxes, kinds, masks = boxes.float(), kinds.long(), masks.float()
            check_instances(boxes, kinds, masks, self.kinds, (image.shape[-2], image.shape[-1]))
            there = kinds >= 0
            if boxes.shape[1] > self.proposals:
                raise DataError(f"pictures hold up to {boxes.shape[1]} things, more than proposals ({self.proposals})")
            boxes = torch.where(there[..., None], boxes, 0.0)
            x_0 = self.denoiser.state(self.start(boxes, there, rng))
            t = expand(self.times(rng, len(x_0)).to(x_0.device), x_0)
            x_t = self.denoiser.process.marginal(x_0, t).sample(rng)
        heads = self.denoiser.found(x_t, t, {self.denoiser.name: image})
        parts: dict[str, Tensor] = {}
        for found in heads:
            for name, value in self.losses(found, boxes, kinds, masks).items():
                parts[name] = parts.get(name, 0.0) + value
        return Loss(torch.stack(list(parts.values())).sum(), {k: float(v.detach()) for k, v in parts.items()})

    def losses(self, found: Found, boxes: Tensor, kinds: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Each already weighted, per thing."""
        there = kinds >= 0
        of = match(found, boxes, kinds)  # [B, N], -1 where nothing is
        count = there.sum().clamp_min(1)
        hit = of >= 0
        row = torch.arange(len(of), device=of.device)[:, None].expand_as(of)[hit]
        thing = of[hit]
        target = torch.zeros_like(found.logits)
        target[hit] = F.one_hot(kinds[row, thing].clamp_min(0), self.kinds).to(target)
        out = {"focal": KIND * focal(found.logits, target).sum() / count}
        matches = hit.sum().clamp_min(1)
        guess, true = found.boxes[hit], boxes[row, thing]
        out["l1"] = L1 * (guess - centred(true)).abs().sum() / matches
        out["giou"] = GIOU * (1 - giou(corners(guess), true)).sum() / matches
        drawn = found.masks((masks.shape[-2], masks.shape[-1]))[hit].sigmoid().flatten(1)
        wanted = masks[row, thing].flatten(1)
        shared = (drawn * wanted).sum(1)
        dice = 1 - (2 * shared + 1e-5) / (drawn.square().sum(1) + wanted.square().sum(1) + 1e-5)
        out["dice"] = DICE * dice.sum() / matches
        return out


def focal(logits: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """-alpha_t (1 - p_t)^gamma log p_t of each. Lin et al. 2017."""
    p = logits.sigmoid()
    p_t = p * target + (1 - p) * (1 - target)
    weight = alpha * target + (1 - alpha) * (1 - target)
    return weight * (1 - p_t) ** gamma * F.binary_cross_entropy_with_logits(logits, target, reduction="none")


@torch.no_grad()
def match(found: Found, boxes: Tensor, kinds: Tensor) -> Tensor:
    """``[B, N]``: which thing each proposal stands for, -1 for none. Every thing takes its k cheapest, k by its overlaps."""
    there = kinds >= 0
    guess = corners(found.boxes)[:, :, None]
    overlaps = iou(guess, boxes[:, None]) * there[:, None]
    p = found.logits.sigmoid().gather(-1, kinds.clamp_min(0)[:, None].expand(-1, found.logits.shape[1], -1))
    gain = 0.25 * (1 - p) ** 2 * -(p + 1e-8).log() - 0.75 * p**2 * -(1 - p + 1e-8).log()
    far = (found.boxes[:, :, None] - centred(boxes)[:, None]).abs().sum(-1)
    cost = KIND * gain + L1 * far - GIOU * giou(guess, boxes[:, None])
    cost = cost.masked_fill(~there[:, None], torch.inf)
    k = overlaps.topk(min(NEAREST, overlaps.shape[1]), 1).values.sum(1).long().clamp_min(1)  # [B, M]
    rank = cost.argsort(1).argsort(1)  # of each proposal in a thing's eyes
    taken = (rank < k[:, None]) & there[:, None]
    best = cost.masked_fill(~taken, torch.inf).argmin(-1)  # one wanted by several goes where it costs least
    return torch.where(taken.any(-1), best, -1)
