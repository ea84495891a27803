"""The way of one sample, to scrub through: x_t, the posterior mean, the score's norm, attention."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.codecs.base import to_bytes
from ornstein.core.errors import CapabilityError
from ornstein.core.shapes import expand
from ornstein.explain import Curvature, Walk, attended_from, attention, curvature, heat, overlay, text_length, walk
from ornstein.explain.influence import branches
from ornstein.recipes.system import System
from ornstein.studio.charts import NARROW, Curve, chart
from ornstein.studio.core import Studio
from ornstein.studio.html import facts, picture, sheet
from ornstein.studio.parts.generating import Asked
from ornstein.studio.parts.pictures import image_shape


@dataclass(frozen=True)
class Way:
    """Everything of one way that the page scrubs through, ``N + 1`` frames: uint8 pictures ``[N + 1, C, H, W]`` and curves."""

    path: Walk
    system: System
    asked: Asked
    states: Tensor
    means: Tensor
    norms: list[float]
    bend: Curvature | None

    def __len__(self) -> int:
        return len(self.path)


@torch.no_grad()
def follow(studio: Studio, asked: Asked) -> Way:
    """Draw one sample and keep its way.

    Raises:
        CapabilityError: the model makes no pictures, or draws in one shot.
        UsageError: as ``System.sample``.
    """
    system = studio.system(asked.model)
    image_shape(system)
    request = dataclasses.replace(asked, n=1).request(0)
    path = walk(
        system, 1, seed=request.seed, steps=request.steps, sampler=request.sampler, grid=request.grid,
        guidance=request.guidance, conditions=asked.given,
    )  # fmt: skip
    states, means, norms = [], [], []
    for i in range(len(path)):
        x = path.states[i]
        last = i == len(path) - 1
        rms = x.square().mean().sqrt().clamp_min(1e-6)
        states.append(system.codec.preview(x if last else x / (2 * rms), path.cond))
        means.append(system.codec.preview(path.mean(i), path.cond))
        try:
            norms.append(float(path.score_norm(i)[0]))
        except CapabilityError:
            norms.append(math.nan)
    bend = curvature(path.states) if len(path) > 2 else None
    shown = [to_bytes(torch.cat(part).clamp(-1, 1)).cpu() for part in (states, means)]
    return Way(path, system, asked, shown[0], shown[1], norms, bend)


def frame(way: Way, i: int) -> str:
    """The two pictures of a frame, side by side."""
    i = min(max(int(i), 0), len(way) - 1)
    t = float(way.path.times[i])
    return sheet(
        [way.states[i], way.means[i]],
        [f"x_t at t = {t:.3f}, scaled to be seen", "E[x_0 | x_t]: what the model takes it for"],
        size=166,
    )


def curves(way: Way, i: int) -> str:
    """Norm of the score and curvature along the way, with a mark at the frame."""
    i = min(max(int(i), 0), len(way) - 1)
    score = chart(
        [Curve("", list(enumerate(way.norms)))],
        x_label="step",
        y_label="score per dimension",
        log_y=True,
        at=i,
        height=190,
        width=NARROW,
    )
    if way.bend is None:
        return score
    turns = way.bend.turn[:, 0].rad2deg().tolist()
    bent = chart(
        [Curve("", [(j + 1.0, v) for j, v in enumerate(turns)])],
        x_label="step", y_label="turn in degrees", at=i, height=190, width=NARROW,
    )  # fmt: skip
    told = facts({
        "way": f"{float(way.bend.length[0]):.1f} long, {float(way.bend.detour[0]):.3f} times the straight one",
        "steps": f"{len(way) - 1} by {way.path.about['sampler']}",
    })  # fmt: skip
    return score + bent + told


@torch.no_grad()
def looks(way: Way, i: int, row: float, column: float) -> str:
    """Where the place (shares of height and width) looks, and which pixels look at which word, at a frame.

    Raises:
        CapabilityError: the network has no attention that could be read.
    """
    i = min(max(int(i), 0), len(way) - 2)
    size = (way.system.shape[1], way.system.shape[2])
    place = (min(int(row * size[0]), size[0] - 1), min(int(column * size[1]), size[1] - 1))
    x = way.path.states[i]
    told = branches(way.path.cond)[0] if way.path.cond else {}
    heard = attention(way.system.denoiser, x, expand(way.path.times[i], x), told)
    layers = len({one.layer for one in heard})
    tokens = text_length(heard, told, size)
    seen = attended_from(heard, size, *place, tokens=tokens)[0]
    peak = float(seen.max()) * size[0] * size[1]
    shown = overlay(way.means[i], seen)
    spot = place[0] * shown.shape[1] // size[0], place[1] * shown.shape[2] // size[1]
    shown[:, spot[0], spot[1]] = torch.tensor([40, 110, 220], dtype=torch.uint8)
    out = [
        sheet([shown], [f"from row {place[0]}, column {place[1]} (blue), mean of {layers} layers"], size=260),
        facts({"strongest place": f"{peak:.1f} times the mean"}),
    ]
    if tokens:
        found = heat(way.system, way.path, way.asked.prompt or None, [i])
        words = found.names(0)[:12]
        out.append(sheet([overlay(way.means[i], found.of(0, w)) for w in words], words, size=120))
    return "".join(out)


def strip(way: Way, most: int = 10) -> str:
    """A few frames in a row, above the states and below what the model takes them for."""
    at = torch.linspace(0, len(way) - 1, min(most, len(way))).round().long().tolist()
    shown = [picture(way.states[i], f"x_t at step {i}") for i in at]
    shown += [picture(way.means[i], f"E[x_0 | x_t] at step {i}") for i in at]
    return f"<div class='o-strip' style='grid-template-columns: repeat({len(at)}, 1fr)'>{''.join(shown)}</div>"
