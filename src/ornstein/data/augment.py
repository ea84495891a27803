"""Random changes of images whose randomness is handed in, so that a resumed stream makes the same ones."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.data.loader import Augment

EDM_WIDTH = 9
"""Numbers in the condition that says which augmentation an image has had."""


def fingerprint(augment: object) -> int:
    """A number below 2^48 made of the settings (the ``repr`` of a frozen dataclass)."""
    return int(hashlib.sha256(repr(augment).encode()).hexdigest()[:12], 16)


def uniforms(bits: np.ndarray) -> Tensor:
    """uint64 to U(0, 1), never 0 or 1, float64."""
    return torch.from_numpy(((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


@final
@dataclass(frozen=True)
class EDMAugment:
    r"""Non-leaky augmentation: the network is told what was done, so that samples drawn with zeros show none of it.

    Each transform happens with probability ``p`` on its own (the mirror image left to right always with 1/2):

    ==================================  =================================  =======================
    transform                           parameter                          condition
    ==================================  =================================  =======================
    mirror x, mirror y                  b in {0, 1}                        b_x, b_y
    scale by 2^(0.2 a)                  a ~ N(0, 1)                        a
    rotate by a                         a ~ U(-pi, pi)                     cos a - 1, sin a
    stretch by 2^(0.2 a) along c        a ~ N(0, 1), c ~ U(-pi, pi) or 0   a cos c, a sin c
    shift by a/8 of the width           a ~ N(0, 1)^2                      a_x, a_y
    ==================================  =================================  =======================

    ``cond["augment"]`` is ``[B, 9]`` float32, zero where nothing was done; sample with zeros. What comes from outside the
    picture is its reflection. Pixels are interpolated bicubically at 2 x 2 places each and averaged (the paper filters with
    a wavelet). As in the paper, a stretch by a along c and one by -a along c + pi have the same condition. Karras et al.
    2022, appendix F.2; the idea is that of Jun et al. 2020.
    """

    p: float = 0.12
    draws: int = field(default=14, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise UsageError(f"the probability of augmentation must lie in [0, 1], got {self.p}")

    def fingerprint(self) -> int:
        """See :class:`ornstein.data.Augment`."""
        return fingerprint(self)

    def apply(self, batch: Batch, bits: np.ndarray) -> Batch:
        """The images ``[B, C, H, W]`` uint8, transformed, with the condition ``augment``."""
        if batch.x.ndim != 4 or batch.x.dtype != torch.uint8:
            raise DataError(f"EDMAugment takes uint8 images [B, C, H, W], got {batch.x.dtype} {tuple(batch.x.shape)}")
        matrix, cond = self.draw(uniforms(bits))
        x = transform(batch.x, matrix)
        return Batch(x, {**batch.cond, "augment": cond.float()})

    def draw(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """From uniforms ``[B, 14]``: the maps ``[B, 3, 3]`` from places in the result to places in the image, in units of
        half its width, and the conditions ``[B, 9]``."""
        happens = u < self.p
        zero = torch.zeros_like(u[:, 0])

        def when(gate: int, value: Tensor) -> Tensor:
            return torch.where(happens[:, gate], value, zero)

        normal = torch.special.ndtri(u)
        angle = (2 * u - 1) * math.pi
        mirror_x = (u[:, 0] < 0.5).double()
        mirror_y = when(1, (u[:, 2] < 0.5).double())
        scale = when(3, normal[:, 4])
        turn = when(5, angle[:, 6])
        stretch = when(7, normal[:, 8])
        along = torch.where((u[:, 9] < 0.5) & (stretch != 0), angle[:, 10], zero)
        shift_x, shift_y = when(11, normal[:, 12]), when(11, normal[:, 13])
        half = torch.exp2(0.2 * stretch)
        inverse = _diagonal(1 - 2 * mirror_x, 1 - 2 * mirror_y)
        inverse = inverse @ _diagonal(torch.exp2(-0.2 * scale), torch.exp2(-0.2 * scale))
        inverse = inverse @ _rotation(turn)
        inverse = inverse @ _rotation(-along) @ _diagonal(1 / half, half) @ _rotation(along)
        inverse = inverse @ _translation(-2 * shift_x / 8, -2 * shift_y / 8)
        cond = (
            mirror_x, mirror_y, scale, turn.cos() - 1, turn.sin(), stretch * along.cos(), stretch * along.sin(),
            shift_x, shift_y,
        )  # fmt: skip
        return inverse, torch.stack(cond, dim=1)


@final
@dataclass(frozen=True)
class RandomCrop:
    """A part of ``size`` x ``size`` pixels at a random place: for pictures that are stored larger than they are used."""

    size: int
    draws: int = field(default=2, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError(f"size must be at least 1 pixel, got {self.size}")

    def fingerprint(self) -> int:
        """See :class:`ornstein.data.Augment`."""
        return fingerprint(self)

    def apply(self, batch: Batch, bits: np.ndarray) -> Batch:
        """The parts ``[B, C, size, size]``."""
        height, width = batch.x.shape[-2:]
        if min(height, width) < self.size:
            raise DataError(
                f"images of {height} x {width} have no part of {self.size} x {self.size}; store them larger"
            )
        room = torch.tensor([height - self.size + 1, width - self.size + 1])
        places = (uniforms(bits) * room).long().minimum(room - 1).tolist()
        x = torch.stack(
            [
                image[..., top : top + self.size, left : left + self.size]
                for image, (top, left) in zip(batch.x, places, strict=True)
            ]
        )
        return Batch(x, batch.cond)


@final
class InTurn:
    """Several augmentations, one after another."""

    def __init__(self, parts: Sequence[Augment]):
        self.parts = tuple(parts)
        self.draws = sum(part.draws for part in self.parts)

    def fingerprint(self) -> int:
        """See :class:`ornstein.data.Augment`."""
        return fingerprint([part.fingerprint() for part in self.parts])

    def apply(self, batch: Batch, bits: np.ndarray) -> Batch:
        """Each takes its own share of the random bits."""
        for part in self.parts:
            batch, bits = part.apply(batch, bits[:, : part.draws]), bits[:, part.draws :]
        return batch


def transform(x: Tensor, inverse: Tensor) -> Tensor:
    """Images ``[B, C, H, W]`` uint8 whose pixel at place y is the one at ``inverse @ y``, places in [-1, 1] from the centre.

    Mirror images are exact and what stays as it is is not touched; both coordinates are in units of half the width.
    """
    height, width = x.shape[-2:]
    eye = torch.eye(3, dtype=inverse.dtype)
    signs = inverse.diagonal(dim1=1, dim2=2)
    plain = (inverse - torch.diag_embed(signs)).abs().amax((1, 2)) == 0
    plain &= (signs[:, :2].abs() == 1).all(1)
    out = x.clone()
    for dim, sign in ((3, signs[:, 0]), (2, signs[:, 1])):
        rows = (plain & (sign < 0)).nonzero()[:, 0]
        out[rows] = out[rows].flip(dim)
    rows = (~plain).nonzero()[:, 0]
    if len(rows):
        ratio = height / width
        to_units = torch.diag(torch.tensor([1.0, 1 / ratio, 1.0], dtype=inverse.dtype))
        theta = (to_units @ inverse[rows] @ (to_units.inverse() @ eye))[:, :2].float()
        grid = F.affine_grid(theta, [len(rows), x.shape[1], 2 * height, 2 * width], align_corners=False)
        fine = F.grid_sample(x[rows].float(), grid, mode="bicubic", padding_mode="reflection", align_corners=False)
        out[rows] = F.avg_pool2d(fine, 2).round().clamp(0, 255).to(torch.uint8)
    return out


def _diagonal(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def _rotation(angle: Tensor) -> Tensor:
    """By ``angle`` in the plane whose second axis points down; the inverse of a turn by ``angle`` has the sign of EDM's."""
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [torch.stack(row, dim=1) for row in ((cos, sin, zero), (-sin, cos, zero), (zero, zero, one))]
    return torch.stack(rows, dim=1)


def _translation(x: Tensor, y: Tensor) -> Tensor:
    matrix = torch.eye(3, dtype=x.dtype).repeat(len(x), 1, 1)
    matrix[:, 0, 2], matrix[:, 1, 2] = x, y
    return matrix
