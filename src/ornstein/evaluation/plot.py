"""Line plots as SVG text: no plotting library, readable in a browser and in a repository."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ornstein.core.errors import DataError

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 66, 16, 30, 48
COLOURS = ("#2f6fb0", "#c4572e", "#3f8f5b", "#8a55a8", "#a8862b", "#4c9aa6", "#b04a78", "#5d6470")
"""Told apart in print and by most eyes; markers differ as well."""

MARKS = ("circle", "square", "diamond", "triangle")


@dataclass(frozen=True)
class Line:
    """Points ``(x, y, half-width of y's interval)`` in order of x."""

    name: str
    points: Sequence[tuple[float, float, float]]


def ticks(low: float, high: float) -> list[float]:
    """Round numbers of an axis: multiples of 1, 2 or 5 times a power of ten, four to eight of them."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= 7)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def line_plot(lines: Sequence[Line], *, x_label: str, y_label: str, levels: Mapping[str, float] | None = None) -> str:
    """The plot; x is logarithmic. ``levels``: values drawn as horizontal dashes, of what has no x.

    Raises:
        DataError: nothing to draw.
    """
    points = [p for line in lines for p in line.points]
    levels = levels or {}
    if not points:
        raise DataError(f"nothing to draw: no record has {y_label} and a number of network evaluations")
    xs = [math.log(x) for x, _, _ in points]
    ys = [y + s * h for _, y, h in points for s in (-1, 1)] + list(levels.values())
    x_0, x_1 = min(xs), max(xs)
    pad_x = 0.06 * (x_1 - x_0) or 0.5
    x_0, x_1 = x_0 - pad_x, x_1 + pad_x
    y_0, y_1 = min(ys), max(ys)
    pad = 0.06 * (y_1 - y_0) or abs(y_0) or 1.0
    y_0, y_1 = (max(y_0 - pad, 0) if y_0 >= 0 else y_0 - pad), y_1 + pad

    def place(x: float, y: float) -> tuple[float, float]:
        px = LEFT + (math.log(x) - x_0) / (x_1 - x_0) * (WIDTH - LEFT - RIGHT)
        return px, TOP + (y_1 - y) / (y_1 - y_0) * (HEIGHT - TOP - BOTTOM)

    out = []
    for y in ticks(y_0, y_1):
        _, py = place(1, y)
        out.append(f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{py:.1f}' y2='{py:.1f}' stroke='#e3e6eb'/>")
        out.append(f"<text x='{LEFT - 8}' y='{py + 4:.1f}' text-anchor='end'>{y:.4g}</text>")
    last = -math.inf
    for x in sorted({p[0] for p in points}):
        px, _ = place(x, y_0)
        out.append(
            f"<line x1='{px:.1f}' x2='{px:.1f}' y1='{HEIGHT - BOTTOM}' y2='{HEIGHT - BOTTOM + 5}' stroke='#9aa2ad'/>"
        )
        if px - last >= 26:  # numbers that would overlap are left out
            out.append(f"<text x='{px:.1f}' y='{HEIGHT - BOTTOM + 19}' text-anchor='middle'>{x:g}</text>")
            last = px
    for name, y in levels.items():
        _, py = place(1, y)
        out.append(
            f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{py:.1f}' y2='{py:.1f}' stroke='#5d6470' stroke-dasharray='5 4'/>"
            f"<text x='{LEFT + 6}' y='{py - 5:.1f}'>{html.escape(name)}</text>"
        )
    for i, line in enumerate(lines):
        colour, mark = COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)]
        places = [place(x, y) for x, y, _ in line.points]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        out.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='1.8'/>")
        for (x, y, half), (px, py) in zip(line.points, places, strict=True):
            if half:
                top, bottom = place(x, y + half)[1], place(x, max(y - half, y_0))[1]
                out.append(f"<line x1='{px:.1f}' x2='{px:.1f}' y1='{top:.1f}' y2='{bottom:.1f}' stroke='{colour}'/>")
            out.append(_mark(mark, px, py, colour))
        column, row = LEFT + i % 2 * (WIDTH - LEFT) / 2, HEIGHT + 18 * (i // 2) + 12
        out.append(_mark(mark, column + 4, row - 4, colour))
        out.append(f"<text x='{column + 16:.0f}' y='{row}'>{html.escape(line.name)}</text>")
    out.append(
        f"<text x='{(LEFT + WIDTH - RIGHT) / 2}' y='{HEIGHT - 8}' text-anchor='middle'>{html.escape(x_label)}</text>"
    )
    out.append(f"<text x='{LEFT}' y='18'>{html.escape(y_label)}</text>")
    height = HEIGHT + 8 + 18 * -(-len(lines) // 2)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' "
        f"font-family='system-ui, sans-serif' font-size='12' fill='#39414d' role='img' aria-label='{html.escape(y_label)}'>"
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>{''.join(out)}</svg>\n"
    )


def _mark(kind: str, x: float, y: float, colour: str) -> str:
    r = 4.0
    if kind == "circle":
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{r}' fill='{colour}'/>"
    corners = {
        "square": ((-r, -r), (r, -r), (r, r), (-r, r)),
        "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)),
        "triangle": ((0, -5), (5, 4), (-5, 4)),
    }[kind]
    return f"<polygon points='{' '.join(f'{x + a:.1f},{y + b:.1f}' for a, b in corners)}' fill='{colour}'/>"
