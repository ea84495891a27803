"""Learning from depth maps: to read depth from a frozen denoiser's layers, and what depth maps look like."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core.batch import Batch
from ornstein.core.errors import DataError
from ornstein.core.loss import Loss, Objective
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.depth import DepthHeads
from ornstein.objectives.times import Times

NAME = "depth"
"""Of the condition of the data: maps ``[N, 1, H, W]``, whole numbers 0 .. 255 or floats in [-1, 1]."""


def depth_of(batch: Batch) -> Tensor:
    """The depth maps of a batch in [-1, 1].

    Raises:
        DataError: there are none, they are of another size than the pictures, or of values that are no depth.
    """
    maps = batch.cond.get(NAME)
    if maps is None:
        raise DataError(
            f"these data have no '{NAME}': give images with a condition of that name, [N, 1, H, W], 0 .. 255 or floats in [-1, 1]"
        )
    if maps.shape != (len(batch), 1, *batch.x.shape[-2:]):
        raise DataError(
            f"depth is [{len(batch)}, 1, {', '.join(map(str, batch.x.shape[-2:]))}], got {tuple(maps.shape)}"
        )
    depth = maps if maps.is_floating_point() else maps.float() / 127.5 - 1
    if not float(depth.abs().max()) <= 1 + 1e-6:
        raise DataError(
            f"depth is whole numbers 0 .. 255, or floats in [-1, 1]; got {maps.dtype} from {float(maps.min()):.3g} to "
            f"{float(maps.max()):.3g}"
        )
    return depth


@final
class ReadingDepth:
    """|d_S - d| + |d_W - d| at noisy pictures of every level; the denoiser gets no gradient. Kim et al. 2022, section 3.2."""

    def __init__(self, heads: DepthHeads, denoiser: Preconditioned, codec: Codec, times: Times):
        self.heads, self.denoiser, self.codec, self.times = heads, denoiser, codec, times

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        depth = depth_of(batch)
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng)
            t = expand(self.times(rng, len(x_0)).to(x_0.device), x_0)
            x_t = self.denoiser.process.marginal(x_0, t).sample(rng)
        rest = {k: v for k, v in batch.cond.items() if k != NAME}
        _, strong, weak = self.heads(self.denoiser, x_t, t, rest)
        self.heads.trained.fill_(True)
        errors = [(d - depth).abs().mean((1, 2, 3)) for d in (strong, weak)]
        logs = {"strong": float(errors[0].detach().mean()), "weak": float(errors[1].detach().mean())}
        return Loss((errors[0] + errors[1]).mean(), logs, (t.detach().reshape(-1), errors[0].detach()))


@final
class OfDepth:
    """An objective whose data are the depth maps of the batch, without conditions."""

    def __init__(self, objective: Objective):
        self.objective = objective

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        return self.objective(Batch(depth_of(batch)), rng)


@final
class WithoutDepth:
    """An objective that is not told the depth maps."""

    def __init__(self, objective: Objective):
        self.objective = objective

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        return self.objective(Batch(batch.x, {k: v for k, v in batch.cond.items() if k != NAME}), rng)
