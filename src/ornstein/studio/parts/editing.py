"""Restoring and changing pictures: the fields of the page as a measurement or a guide, run in the engine's line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ornstein.codecs.base import to_bytes
from ornstein.core.errors import UsageError, unknown
from ornstein.measurements import JPEG, Direct, Grey, Mask, Measurement, bicubic, gaussian_blur
from ornstein.recipes.edit import interpolate, sdedit, translate
from ornstein.recipes.restore import restore
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.restoration.table import METHODS
from ornstein.samplers.base import Step
from ornstein.serving import Job, Request
from ornstein.studio.core import Studio
from ornstein.studio.html import sheet
from ornstein.studio.parts.generating import dice, label_of
from ornstein.studio.parts.pictures import image_shape, mask_of, tensor_of
from ornstein.studio.words import EDITS


@dataclass(frozen=True)
class Edit:
    """The fields of the page. ``mask`` is white or opaque where the brush passed."""

    model: str
    task: str
    picture: Image.Image | None
    mask: Image.Image | None = None
    other: Image.Image | None = None
    label: str | None = None
    from_label: str | None = None
    method: str = "auto"
    scale: int = 4
    blur: float = 1.0
    quality: int = 20
    noise: float = 0.0
    margin: float = 0.25
    strength: float = 0.5
    n: int = 2
    steps: int | None = None
    guidance: float | None = None
    seed: int = 0


def edit(studio: Studio, asked: Edit) -> tuple[Job, Tensor]:
    """The job, and the picture as the model is told of it, ``[C, H, W]`` in [-1, 1].

    Raises:
        UsageError, DataError, CapabilityError: what is missing, or does not fit the model or the task.
    """
    if asked.task not in EDITS:
        raise unknown("task", asked.task, EDITS)
    if asked.picture is None:
        raise UsageError("give a picture first: drop one on the page, or paste it")
    system = studio.system(asked.model)
    shape = image_shape(system)
    given = tensor_of(asked.picture, *shape)[None]
    make, told = _changed(asked, given, shape) if asked.task in _CHANGES else _restored(asked, given, shape)

    def task(system: System, on_step: Callable[[Step], None]) -> Samples:
        return make(system, {"seed": int(asked.seed), "guidance": asked.guidance, "on_step": on_step})

    n = max(int(asked.n), 2) if asked.task == "interpolate" else 1 if asked.task == "translate" else int(asked.n)
    job = studio.submit(Request(asked.model, n=n, seed=int(asked.seed), client="studio", task=task))
    return job, told


def methods() -> list[str]:
    """What a restoration may be done by."""
    return ["auto", *METHODS]


def drawn(studio: Studio, model: str, label: str | None) -> Image.Image:
    """A picture of the model's own, to be edited."""
    return studio.submit(Request(model, seed=dice(), label=label_of(label), client="studio")).result().images[0]


def given(told: Tensor) -> str:
    """What the model was told of a picture, ``[C, H, W]`` in [-1, 1]."""
    return sheet([to_bytes(told[None].clamp(-1, 1))[0]], ["what the model was told"], size=120)


Make = Callable[[System, dict[str, Any]], Samples]
_CHANGES = ("strokes", "interpolate", "translate")


def _changed(asked: Edit, given: Tensor, shape: tuple[int, int, int]) -> tuple[Make, Tensor]:
    """The tasks that begin from the picture itself."""
    how: dict[str, Any] = {} if not asked.steps else {"steps": int(asked.steps)}
    label = label_of(asked.label)
    if asked.task == "strokes":
        how |= {"strength": float(asked.strength), "n": int(asked.n), "label": label}
        return lambda system, common: sdedit(system, given, **how, **common), given[0]
    if asked.task == "translate":
        if label is None or label == -1:
            raise UsageError("choose the label that the picture is to have")
        source = label_of(asked.from_label)
        begin = -1 if source is None else source
        return lambda system, common: translate(system, given, begin, label, **how, **common), given[0]
    if asked.other is None:
        raise UsageError("give the second picture, the one to end with")
    ends = torch.cat([given, tensor_of(asked.other, *shape)[None]])
    how |= {"n": max(int(asked.n), 2), "label": label}
    return lambda system, common: interpolate(system, ends, **how, **common), given[0]


def _restored(asked: Edit, given: Tensor, shape: tuple[int, int, int]) -> tuple[Make, Tensor]:
    """The tasks that know something of the picture and seek the rest."""
    measurement, told = measured(asked, given, shape)
    how: dict[str, Any] = {"n": int(asked.n), "method": asked.method, "label": label_of(asked.label)}
    if asked.steps:
        how["steps"] = int(asked.steps)
    return lambda system, common: restore(system, measurement, **how, **common), told[0]


def measured(asked: Edit, given: Tensor, shape: tuple[int, int, int]) -> tuple[Measurement, Tensor]:
    """What the task knows of a picture ``[1, C, H, W]``, and a picture of that."""
    channels, height, width = shape
    noise = float(asked.noise)
    if not 0 <= noise < 1:
        raise UsageError(f"noise is a standard deviation on [-1, 1], so between 0 and 1, got {noise:g}")
    if asked.task == "inpaint":
        if asked.mask is None or not bool((hidden := mask_of(asked.mask, height, width)).any()):
            raise UsageError("brush over the part that is to be drawn anew")
        known = 1 - hidden
        return Measurement(given * known, Mask(known), noise), given * known
    if asked.task == "superres":
        scale = int(asked.scale)
        if scale < 2 or height % scale or width % scale:
            raise UsageError(
                f"the model's {width} x {height} pixels are not to be divided by {scale}; choose another scale"
            )
        operator = bicubic(shape, scale)
        y = operator(given)
        return Measurement(y, operator, noise), y.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    if asked.task == "uncrop":
        return _uncropped(given, float(asked.margin), noise)
    if asked.task == "colorize":
        if channels != 3:
            raise UsageError("colours are drawn by a model of colours; this one makes grey pictures")
        y = Grey()(given)
        return Measurement(y, Grey(), noise), y.expand_as(given)
    if asked.task == "deblur":
        return Measurement(given, gaussian_blur(shape, float(asked.blur)), noise or 0.01), given
    if asked.task == "denoise":
        if not noise:
            raise UsageError("say how strong the noise is: its standard deviation, on [-1, 1]")
        return Measurement(given, Direct(), noise), given
    return Measurement(given, JPEG(int(asked.quality)), noise or 0.01), given


def _uncropped(given: Tensor, margin: float, noise: float) -> tuple[Measurement, Tensor]:
    """The picture made smaller, in the middle of one that is not known at the margins."""
    if not 0 < margin < 0.5:
        raise UsageError(f"the margin is a share of the side, between 0 and 0.5, got {margin:g}")
    height, width = given.shape[-2:]
    top, left = max(round(height * margin), 1), max(round(width * margin), 1)
    inner = (height - 2 * top, width - 2 * left)
    known = torch.zeros(1, height, width)
    known[:, top : top + inner[0], left : left + inner[1]] = 1
    canvas = torch.zeros_like(given)
    small = torch.nn.functional.interpolate(given, size=inner, mode="bilinear", antialias=True)
    canvas[..., top : top + inner[0], left : left + inner[1]] = small
    return Measurement(canvas, Mask(known), noise), canvas
