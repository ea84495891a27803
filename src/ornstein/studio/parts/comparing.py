"""One picture under many settings: a grid over samplers, steps, guidance and seeds, each with its error."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ornstein.core.errors import UsageError, unknown
from ornstein.processes.base import Affine
from ornstein.samplers.table import SAMPLERS, get
from ornstein.serving import Job
from ornstein.studio.core import Studio
from ornstein.studio.html import escape, picture
from ornstein.studio.parts.generating import Asked
from ornstein.studio.words import AXES, OWN

MOST = 96
"""Cells of one comparison."""
REFERENCE = "heun"


@dataclass(frozen=True)
class Axis:
    """What varies, and its values."""

    name: str
    values: tuple[Any, ...]


def axis(name: str, text: str) -> Axis:
    """An axis from what was typed: values with commas between them, whole numbers also as ``3-6``.

    Raises:
        UsageError: an unknown axis or sampler, or what is no number.
    """
    if name not in AXES:
        raise unknown("axis", name, AXES)
    parts = [p.strip() for p in text.split(",") if p.strip()]
    if not parts:
        raise UsageError(f"say which values of {name} are to be compared, with commas between them")
    if name == "sampler":
        return Axis(name, tuple(p if p == OWN else get(p).name for p in parts))
    values: list[Any] = []
    for part in parts:
        low, dash, high = part.partition("-")
        try:
            if name == "guidance":
                values.append(float(part))
            elif dash and low:
                values += range(int(low), int(high) + 1)
            else:
                values.append(int(part))
        except ValueError as e:
            raise UsageError(f"'{part}' is no number for {name}") from e
    return Axis(name, tuple(dict.fromkeys(values)))


@dataclass(frozen=True)
class Cell:
    """One picture: where it stands, ``[C, H, W]`` in [-1, 1], its root mean square distance from the reference, its calls.

    ``error`` is None where the sampler draws noise of its own, so that it converges to no one picture.
    """

    at: tuple[int, int, int]
    asked: Asked
    picture: Tensor
    error: float | None
    seconds: float


def plan(base: Asked, axes: Sequence[Axis]) -> list[tuple[tuple[int, int, int], Asked]]:
    """Every cell, ``(x, y, z)`` and its settings; axes that are lacking have one value.

    Raises:
        UsageError: an axis twice, or more than 96 cells.
    """
    names = [a.name for a in axes]
    if len(set(names)) < len(names):
        raise UsageError(f"an axis is used twice: {', '.join(names)}")
    whole = [*axes, *[Axis("", (None,))] * (3 - len(axes))]
    x, y, z = whole[:3]
    if len(x.values) * len(y.values) * len(z.values) > MOST:
        count = len(x.values) * len(y.values) * len(z.values)
        raise UsageError(f"{count} cells were asked for; at most {MOST} are drawn at once")
    out = []
    for k, c in enumerate(z.values):
        for j, b in enumerate(y.values):
            for i, a in enumerate(x.values):
                change = {one.name: v for one, v in ((x, a), (y, b), (z, c)) if one.name}
                out.append(((i, j, k), replace(base, n=1, **change)))
    return out


def compare(studio: Studio, base: Asked, axes: Sequence[Axis], reference_steps: int = 100) -> Iterator[Cell]:
    """The cells as they are done. All go to the engine at once, which draws together what it can.

    The reference of a seed and a guidance is drawn in ``reference_steps`` steps of Heun's method: the probability flow that
    the deterministic samplers approximate.
    """
    if not 2 <= reference_steps <= 1000:
        raise UsageError(f"the reference takes 2 to 1000 steps, got {reference_steps}")
    cells = plan(base, axes)
    system = studio.system(base.model)
    if not isinstance(system.process, Affine):
        raise UsageError(f"'{system.recipe}' has no probability flow to compare with by Heun's method")
    jobs: list[tuple[tuple[int, int, int], Asked, Job]] = []
    references: dict[tuple[Any, ...], Job] = {}
    for at, asked in cells:
        if _deterministic(asked.sampler, system.sampler.name):
            key = _same_flow(asked)
            if key not in references:
                far = replace(asked, sampler=REFERENCE, grid=OWN, steps=reference_steps)
                references[key] = studio.submit(far.request(0))
        jobs.append((at, asked, studio.submit(asked.request(0))))
    try:
        for at, asked, job in jobs:
            made = job.result().tensor[0]
            reference = (
                references.get(_same_flow(asked)) if _deterministic(asked.sampler, system.sampler.name) else None
            )
            error = None
            if reference is not None:
                error = float((made - reference.result().tensor[0]).double().square().mean().sqrt())
            yield Cell(at, asked, made, error, job.seconds or 0.0)
    finally:
        for job in [*references.values(), *(j for _, _, j in jobs)]:
            job.cancel()


def _deterministic(sampler: str, own: str) -> bool:
    kind = SAMPLERS.get(own if sampler == OWN else sampler)
    return kind is not None and not kind.stochastic


def _same_flow(asked: Asked) -> tuple[Any, ...]:
    """What the flow of a picture depends on."""
    return asked.seed, asked.guidance, asked.label, asked.prompt, asked.negative


def page(cells: Mapping[tuple[int, int, int], Cell], axes: Sequence[Axis]) -> str:
    """The grid as HTML: a table for each value of the third axis; cells that are not done yet are empty."""
    x, y, z = [*axes, *[Axis("", (None,))] * (3 - len(axes))][:3]
    finite = [c.error for c in cells.values() if c.error is not None]
    least = min(finite) if finite else None
    out = []
    for k, c in enumerate(z.values):
        head = "".join(f"<th scope='col'>{escape(_told(x, v))}</th>" for v in x.values)
        rows = []
        for j, b in enumerate(y.values):
            shown = "".join(f"<td>{_cell(cells.get((i, j, k)), least)}</td>" for i in range(len(x.values)))
            rows.append(f"<tr><th scope='row'>{escape(_told(y, b))}</th>{shown}</tr>")
        title = f"<h4>{escape(_told(z, c))}</h4>" if z.name else ""
        out.append(
            f"{title}<div class='o-scroll'><table class='o-grid'><thead><tr><th></th>{head}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )
    return "".join(out)


def _told(axis: Axis, value: Any) -> str:
    if not axis.name:
        return ""
    return str(value) if axis.name == "sampler" else f"{axis.name} {value:g}"


def _cell(cell: Cell | None, least: float | None) -> str:
    if cell is None:
        return "<div class='o-waiting'></div>"
    error = "draws its own noise" if cell.error is None else f"{cell.error:.4f}"
    best = " o-best" if cell.error is not None and cell.error == least else ""
    said = f"{cell.asked.sampler}, steps {cell.asked.steps or 'own'}, seed {cell.asked.seed}"
    return f"{picture(cell.picture, said)}<span class='o-error{best}'>{escape(error)}</span>"


def as_csv(cells: Sequence[Cell]) -> str:
    """The figures as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["sampler", "steps", "guidance", "seed", "error", "seconds"])
    for cell in cells:
        a, error = cell.asked, "" if cell.error is None else f"{cell.error:.6f}"
        writer.writerow([a.sampler, a.steps, a.guidance, a.seed, error, f"{cell.seconds:.3f}"])
    return out.getvalue()
