"""Why a model draws what it draws: error by noise level, a condition's influence, counterfactuals, nearest training images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from ornstein.codecs.base import to_bytes
from ornstein.core.errors import DataError, UsageError
from ornstein.data import Images, open_data
from ornstein.explain import by_guidance, error_by_noise, gradient_by_noise, influence, neighbours
from ornstein.explain.neighbours import verdict
from ornstein.recipes.system import System
from ornstein.studio.charts import Curve, chart
from ornstein.studio.core import Studio
from ornstein.studio.html import facts, notice, sheet
from ornstein.studio.parts.generating import Asked
from ornstein.studio.parts.pictures import image_shape

JUDGED = 64
"""Images on which errors are measured."""
SEARCHED = 20_000
"""Training images among which neighbours are sought."""


def data_for(system: System, name: str) -> Images:
    """A data set at the model's size.

    Raises:
        UsageError, DataError: no such set, or one of other channels.
    """
    channels, size, _ = image_shape(system)
    if not name or not name.strip():
        raise UsageError("name the data: a set (digits), or a folder of images")
    found = open_data(name.strip(), size=size, channels=channels)
    if not isinstance(found, Images):
        raise DataError(f"'{name}' holds no images")
    return found


def noise_levels(studio: Studio, model: str, data: str) -> str:
    """Error and gradient norm by noise level, as charts."""
    system = studio.system(model)
    images = data_for(system, data)
    some = images[0 : min(JUDGED, len(images))]
    if tuple(images.classes) != tuple(system.classes):
        some = type(some)(some.x)
    errors = error_by_noise(system, some)
    pulls = gradient_by_noise(system, some)
    return (
        chart(
            [Curve("", sorted((e.log_snr, e.error) for e in errors))],
            x_label="log signal-to-noise ratio (noise left, data right)", y_label="squared error",
        )
        + chart(
            [Curve("", sorted((p.log_snr, p.norm) for p in pulls))],
            x_label="log signal-to-noise ratio", y_label="gradient norm", log_y=True,
        )
        + facts({"measured on": f"{len(some)} images of {images.name}"})
    )  # fmt: skip


def condition(studio: Studio, asked: Asked) -> str:
    """What the condition does: with and without it, and where the answers differ, step by step."""
    request = dataclasses.replace(asked, n=1).request(0)
    system = studio.system(asked.model)
    image_shape(system)
    given = asked.given
    if not given:
        raise UsageError("choose one label, or give a prompt: its influence is what is shown")
    found = influence(system, given, 1, seed=request.seed, steps=request.steps, sampler=request.sampler)
    strength = found.maps.abs().mean((0, 1, 2))
    strength = strength / strength.max().clamp_min(1e-12) * 2 - 1
    pictures = [to_bytes(found.with_it)[0], to_bytes(found.without)[0], to_bytes(strength[None, None])[0]]
    told = next(iter(given.values()))
    curve = Curve("", [(float(i), float(v)) for i, v in enumerate(found.rms[:, 0])])
    return sheet(pictures, [f"with '{told}'", "without", "where it acts"], size=170) + chart(
        [curve], x_label="step", y_label="difference of E[x_0]"
    )


def strengths(studio: Studio, asked: Asked, scales: Sequence[float]) -> str:
    """The same noise under several strengths of guidance."""
    request = dataclasses.replace(asked, n=1).request(0)
    system = studio.system(asked.model)
    image_shape(system)
    made = by_guidance(
        system, scales, 1, seed=request.seed, steps=request.steps, sampler=request.sampler, conditions=asked.given
    )
    pictures = [m.samples.bytes[0] for m in made]
    captions = [f"guidance {m.changed:g}, moved by {float(m.distance[0]):.3f}" for m in made]
    return sheet(pictures, captions, size=130)


def scales_of(text: str) -> list[float]:
    """Strengths as they were typed, with commas between them.

    Raises:
        UsageError: what is no number, or none at all.
    """
    try:
        out = [float(p) for p in text.split(",") if p.strip()]
    except ValueError as e:
        raise UsageError(f"strengths of guidance are numbers with commas between them, got '{text}'") from e
    if not out:
        raise UsageError("give at least one strength of guidance")
    return out


def nearest(studio: Studio, asked: Asked, data: str, k: int = 4) -> str:
    """Some samples with their nearest training images, and the verdict."""
    system = studio.system(asked.model)
    images = data_for(system, data)
    samples = studio.submit(asked.request(0)).result()
    count = min(SEARCHED, len(images))
    train = images[0:count].x
    found = neighbours(samples.bytes, train, k)
    pictures, captions = [], []
    order = torch.argsort(found.ratio)
    for i in order[:6].tolist():
        pictures.append(samples.bytes[i])
        captions.append(f"sample {samples.seeds[i]}")
        for j in range(k):
            pictures.append(train[int(found.index[i, j])])
            captions.append(f"{j + 1}: at {float(found.distance[i, j]):.0f}")
    rows = [sheet(pictures[i : i + k + 1], captions[i : i + k + 1], size=92) for i in range(0, len(pictures), k + 1)]
    level = "bad" if bool(found.copied.any()) else "good"
    return notice(verdict(found), level) + "".join(rows) + facts({"searched": f"{count:,} images of {images.name}"})
