"""Clips of frames to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, final

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.digests import digest_of


@final
class Videos:
    """A set of clips uint8 ``[T, C, H, W]`` of one size; they may differ in length.

    Raises:
        DataError: none, another type or shape, other sizes, a clip of fewer than two frames (each names the clip).
    """

    def __init__(self, clips: Sequence[Tensor] | Tensor):
        if len(clips) == 0:
            raise DataError("there is no video to measure")
        for i, x in enumerate(clips):
            if x.dtype != torch.uint8 or x.ndim != 4 or x.shape[1] not in (1, 3):
                raise DataError(
                    f"video {i} must be uint8 [T, C, H, W] with 1 or 3 channels, got {x.dtype} {tuple(x.shape)}"
                )
            if len(x) < 2:
                raise DataError(f"video {i} has {len(x)} frames; at least 2 are needed")
            if x.shape[1:] != clips[0].shape[1:]:
                a, b = ("x".join(map(str, v.shape[1:])) for v in (clips[0], x))
                raise DataError(f"video 0 is {a} and video {i} is {b}; bring all to one size")
        self.clips = tuple(clips)

    @property
    def content_hash(self) -> str:
        """Equal for equal frames."""
        return digest_of(self.clips)

    @property
    def about(self) -> dict[str, Any]:
        """The size of a frame."""
        return {"size": "x".join(map(str, self.clips[0].shape[1:]))}

    def __len__(self) -> int:
        return len(self.clips)

    def take(self, index: Tensor) -> Self:
        """Some of them."""
        return type(self)([self.clips[i] for i in index.tolist()])


def require_one_size(samples: Videos, other: Videos, name: str) -> None:
    """Refuse frames of two sizes."""
    if samples.about != other.about:
        a, b = samples.about["size"], other.about["size"]
        raise DataError(
            f"the samples are {a} and the {name} is {b} (channels x height x width); bring both to one size"
        )
