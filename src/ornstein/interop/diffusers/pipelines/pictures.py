"""The pictures that a caller gives beside words: checked, and made into what a drawing starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.interop.diffusers.pipelines import starts
from ornstein.interop.diffusers.pipelines.starts import Enlarge, FromNoise, FromPicture, Inpaint, InpaintBeside, Start
from ornstein.processes.base import Affine

_LACKS = {"mask": "an image and a mask", "depth": "an image", "small": "the small image"}


@dataclass(frozen=True)
class Given:
    """What a network must be told besides words: from its input channels and its pipeline's class."""

    beside: str = ""
    """"" (nothing), "mask" (inpainting), "depth" or "small" (upscaling)"""
    small: Affine | None = None
    """the process that noises a small picture"""
    depth: Callable[[Tensor], Tensor] | None = None
    """pictures in [-1, 1] -> depth maps ``[B, 1, h, w]``"""


@dataclass(frozen=True)
class Asked:
    """What a caller gives of pictures, as :meth:`Pipeline.sample` has it."""

    image: Tensor | None
    mask: Tensor | None
    depth: Tensor | None
    strength: float | None
    level: int | None

    def start(
        self, n: int, given: Given, state: tuple[int, ...], data: tuple[int, ...], device: torch.device
    ) -> tuple[Start, dict[str, Tensor]]:
        """What ``n`` drawings start from, and what that needs of each; noise where no picture is given.

        Args:
            state: the shape of the diffusion's state.
            data: that of a picture.

        Raises:
            DataError: a picture, mask or depth map of another shape or range.
            UsageError: one that this network does not read, or one that it cannot do without.
        """
        beside, image = given.beside, self.image
        if image is None:
            if beside:
                raise UsageError(f"this network fills in, follows or enlarges a picture: give {_LACKS[beside]}")
            if any(value is not None for value in (self.mask, self.depth, self.strength, self.level)):
                raise UsageError("mask, depth, strength and noise_level go with an image; give one, or leave them out")
            return FromNoise(), {}
        if self.strength is not None and not 0 < self.strength <= 1:
            raise UsageError(f"strength lies in (0, 1], got {self.strength:g}: near 0 nothing changes, at 1 all may")
        size = state if beside == "small" else data
        pictures = {starts.PICTURE: _fitting("image", image, n, (data[0], *size[1:]))}
        if bool((image.abs() > 1 + 1e-6).any()):
            raise DataError(f"an image lies in [-1, 1]; this one reaches {float(image.abs().max()):.3g}")
        if self.level is not None and beside != "small":
            raise UsageError("noise_level belongs to upscaling, which this network does not do")
        if self.depth is not None and beside != "depth":
            raise UsageError("this network reads no depth map")
        if beside == "small":
            if self.mask is not None or self.strength is not None:
                raise UsageError("upscaling takes neither mask nor strength")
            return Enlarge(20 if self.level is None else self.level), pictures
        if beside == "mask" or self.mask is not None:
            pictures[starts.MASK] = self._mask(n, beside, data)
            kind = InpaintBeside if beside == "mask" else Inpaint
            return kind(1.0 if self.strength is None else self.strength), pictures
        if beside == "depth":
            pictures[starts.DEPTH] = self._depth(n, image, given, device)
        return FromPicture(0.8 if self.strength is None else self.strength), pictures

    def _mask(self, n: int, beside: str, data: tuple[int, ...]) -> Tensor:
        if self.mask is None:
            raise UsageError("this network fills in a part of a picture: give a mask, 1 where it is drawn anew")
        if beside == "depth":
            raise UsageError("this network follows a depth map and takes no mask")
        if not bool(((self.mask == 0) | (self.mask == 1)).all()):
            raise DataError("a mask holds 0 (stays) and 1 (is drawn anew) only")
        return _fitting("mask", self.mask.float(), n, (1, *data[1:]))

    def _depth(self, n: int, image: Tensor, given: Given, device: torch.device) -> Tensor:
        depth = self.depth
        if depth is None:
            if given.depth is None:
                raise UsageError("this folder has no depth_estimator: give depth, a map of the picture's depths")
            depth = given.depth(image.to(device)).cpu()
        if depth.ndim != 4 or depth.shape[1] != 1 or len(depth) not in (1, n):
            raise DataError(f"a depth map is [1 or {n}, 1, h, w], got {list(depth.shape)}")
        if not bool((depth.amax((1, 2, 3)) > depth.amin((1, 2, 3))).all()):
            raise DataError("a depth map of one depth everywhere says nothing")
        return depth.float().expand(n, -1, -1, -1)


def _fitting(what: str, value: Tensor, n: int, shape: tuple[int, ...]) -> Tensor:
    if tuple(value.shape[1:]) != shape or len(value) not in (1, n):
        raise DataError(
            f"{what} is {list(value.shape)}, and this pipeline takes [1 or {n}, {', '.join(map(str, shape))}]"
        )
    return value.float().expand(n, *[-1] * len(shape))
