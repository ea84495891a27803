"""Conditions that an adapter adds to a reader of prompts: pictures to follow, pictures as prompts."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ornstein.core.errors import DataError, UsageError, unknown
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.reader import Reader, Wrapped
from ornstein.recipes.system import System

Picture = Tensor | Image.Image | Sequence[Image.Image]


class Beside(Wrapped):
    """A reader of prompts and of one more condition, ``name``, which it makes tensors of."""

    def __init__(self, inner: Reader, name: str):
        super().__init__(inner)
        if any(name in inspect.signature(f).parameters for f in (Pipeline.sample, System.sample)):
            raise UsageError(f"'{name}' is an argument of sample: give the adapter another name")
        if name in inner.names:
            raise UsageError(f"this system has a condition '{name}' already: give the adapter another name")
        self.name = name

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.inner.names, self.name)

    def forward(self, n: int, given: Mapping[str, Any], guided: bool = True) -> dict[str, Tensor]:
        rest = {k: v for k, v in given.items() if k != self.name}
        for name in rest:
            if name not in self.names:
                raise unknown("condition", name, self.names)
        return self.add(n, given.get(self.name), self.inner(n, rest, guided))

    @abstractmethod
    def add(self, n: int, value: Any, cond: dict[str, Tensor]) -> dict[str, Tensor]:
        """The conditions with this one; ``value`` is None where it is not given."""


def pictures(name: str, value: Picture, n: int, size: tuple[int, int] | None, channels: int = 3) -> Tensor:
    """``[n, channels, H, W]`` in [0, 1] of a tensor of that form, of a picture, or of one for each sample.

    Raises:
        DataError: another size than ``size`` (height and width), another number, or values out of range.
    """
    if isinstance(value, Tensor):
        x = value.float()
    else:
        many = [value] if isinstance(value, Image.Image) else list(value)
        mode = "L" if channels == 1 else "RGB"
        arrays = [np.asarray(p.convert(mode), dtype=np.float32) / 255 for p in many]
        if len({a.shape for a in arrays}) != 1:
            raise DataError(f"{name}: the pictures differ in size")
        x = torch.from_numpy(np.stack(arrays)).reshape(len(arrays), *arrays[0].shape[:2], channels).permute(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] != channels or len(x) not in (1, n):
        raise DataError(f"{name} is [1 or {n}, {channels}, H, W] in [0, 1], or as many pictures; got {list(x.shape)}")
    if size is not None and tuple(x.shape[2:]) != size:
        raise DataError(
            f"{name} is {x.shape[2]} x {x.shape[3]} and this system draws {size[0]} x {size[1]}: resize it, or load the "
            "system at its size"
        )
    if bool((x < -1e-6).any() or (x > 1 + 1e-6).any()):
        raise DataError(f"{name} lies in [0, 1]; this one reaches from {float(x.min()):.3g} to {float(x.max()):.3g}")
    return x.expand(n, -1, -1, -1)


def reader_of(system: Pipeline, what: str) -> Reader:
    """The system's reader of prompts.

    Raises:
        UsageError: it has none.
    """
    if not isinstance(system, Pipeline) or system.prompts is None:
        raise UsageError(f"{what} goes with a text-to-image pipeline of diffusers; '{system.recipe}' is none")
    return system.prompts
