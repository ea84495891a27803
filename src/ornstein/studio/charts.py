"""Curves as SVG in the page's own colours, in the light and in the dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ornstein.evaluation.plot import ticks
from ornstein.studio.html import empty, escape

LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 40
WIDE, NARROW = 640, 400
"""Widths: of a chart that has the page to itself, and of one beside another."""


@dataclass(frozen=True)
class Curve:
    """Points ``(x, y)`` in order of x; those that are not finite are left out."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int | None = None
    """which of the page's six colours; by default the next"""


@dataclass(frozen=True)
class Band:
    """Points ``(x, low, high)`` between which an area is filled."""

    name: str
    points: Sequence[tuple[float, float, float]]
    shade: int = 0
    """0 is the lighter, 1 the darker"""


def chart(
    curves: Sequence[Curve],
    *,
    x_label: str,
    y_label: str,
    log_y: bool = False,
    at: float | None = None,
    bands: Sequence[Band] = (),
    dots: Sequence[Curve] = (),
    height: int = 230,
    width: int = WIDE,
) -> str:
    """A chart with a legend where there is more than one name; ``at`` is a vertical line, ``dots`` are points without a line."""
    lines = [_drawn(c, i, log_y) for i, c in enumerate(curves)]
    spots = [_drawn(c, i, log_y) for i, c in enumerate(dots)]
    areas = [Band(b.name, [p for p in b.points if all(map(math.isfinite, p))], b.shade) for b in bands]
    xs = [x for c in [*lines, *spots] for x, _ in c.points] + [p[0] for b in areas for p in b.points]
    ys = [y for c in [*lines, *spots] for _, y in c.points] + [y for b in areas for p in b.points for y in p[1:]]
    if not xs:
        return empty(f"no {y_label} yet")
    frame = _Frame(xs, ys, width, height)
    out = [_grid(frame, log_y, x_label, y_label)]
    for band in areas:
        there = [frame.place(x, high) for x, _, high in band.points]
        back = [frame.place(x, low) for x, low, _ in reversed(band.points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*there, *back])
        out.append(
            f"<polygon class='o-band o-band{band.shade}' points='{path}'><title>{escape(band.name)}</title></polygon>"
        )
    for curve in lines:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (frame.place(*p) for p in curve.points))
        out.append(
            f"<polyline class='o-line o-s{curve.colour}' points='{path}'><title>{escape(curve.name)}</title></polyline>"
        )
    for curve in spots:
        for x, y in curve.points:
            px, py = frame.place(x, y)
            shown = 10**y if log_y else y
            said = f"<title>{escape(curve.name)}: {x:.4g}, {shown:.4g}</title>"
            out.append(f"<circle class='o-dot o-s{curve.colour}' cx='{px:.1f}' cy='{py:.1f}' r='3'>{said}</circle>")
    if at is not None and math.isfinite(at):
        px, _ = frame.place(at, frame.y_0)
        out.append(f"<line class='o-at' x1='{px:.1f}' x2='{px:.1f}' y1='{TOP}' y2='{height - BOTTOM}'/>")
    names = [(f"o-s{c.colour}", c.name) for c in [*lines, *spots] if c.name]
    names += [(f"o-band{b.shade}", b.name) for b in areas if b.name]
    legend = "".join(f"<span><i class='{kind}'></i>{escape(name)}</span>" for kind, name in names)
    key = f"<div class='o-legend'>{legend}</div>" if len(names) > 1 else ""
    label = escape(f"{y_label} against {x_label}")
    return (
        f"<figure class='o-chart'><svg viewBox='0 0 {width} {height}' role='img' aria-label='{label}'>{''.join(out)}</svg>"
        f"{key}</figure>"
    )


def _drawn(curve: Curve, i: int, log_y: bool) -> Curve:
    """With its colour, on the scale of the axis, without what cannot be drawn."""
    sound = [(x, y) for x, y in curve.points if math.isfinite(x) and math.isfinite(y) and (y > 0 or not log_y)]
    points = [(x, math.log10(y)) for x, y in sound] if log_y else sound
    return Curve(curve.name, points, (i if curve.colour is None else curve.colour) % 6)


class _Frame:
    """From numbers to places on the drawing."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float], width: int, height: int):
        self.x_0, self.x_1 = min(xs), max(xs)
        if self.x_1 - self.x_0 < 1e-12:
            self.x_0, self.x_1 = self.x_0 - 0.5, self.x_1 + 0.5
        low, high = min(ys), max(ys)
        pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        self.y_0, self.y_1, self.width, self.height = low - pad, high + pad, width, height

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Pixels from the left and from the top."""
        px = LEFT + (x - self.x_0) / (self.x_1 - self.x_0) * (self.width - LEFT - RIGHT)
        return px, TOP + (self.y_1 - y) / (self.y_1 - self.y_0) * (self.height - TOP - BOTTOM)


def _grid(frame: _Frame, log_y: bool, x_label: str, y_label: str) -> str:
    out, width, height = [], frame.width, frame.height
    for y in ticks(frame.y_0, frame.y_1):
        _, py = frame.place(frame.x_0, y)
        out.append(f"<line class='o-rule' x1='{LEFT}' x2='{width - RIGHT}' y1='{py:.1f}' y2='{py:.1f}'/>")
        shown = f"{10**y:.4g}" if log_y else f"{y:.4g}"
        out.append(f"<text x='{LEFT - 7}' y='{py + 4:.1f}' text-anchor='end'>{shown}</text>")
    for x in ticks(frame.x_0, frame.x_1)[:: 1 if width == WIDE else 2]:
        px, _ = frame.place(x, frame.y_0)
        out.append(f"<text x='{px:.1f}' y='{height - BOTTOM + 16}' text-anchor='middle'>{x:.4g}</text>")
    middle = (LEFT + width - RIGHT) / 2
    out.append(f"<text class='o-axis' x='{middle}' y='{height - 5}' text-anchor='middle'>{escape(x_label)}</text>")
    along = (TOP + height - BOTTOM) / 2
    out.append(
        f"<text class='o-axis' transform='translate(12 {along}) rotate(-90)' text-anchor='middle'>{escape(y_label)}</text>"
    )
    return "".join(out)
