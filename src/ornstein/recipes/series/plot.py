"""Intervals over gaps, drawn with Pillow: observed values, the median of the draws, central intervals of 50 % and 90 %."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ornstein.data.series.clock import show_stamp
from ornstein.evaluation.plot import ticks
from ornstein.recipes.series.filled import Filled

WIDTH, ROW = 900, 150
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 22, 26
SCALE = 2  # drawn at twice the size and reduced, for smooth edges
INK, PALE, BAND_90, BAND_50, LINE = "#39414d", "#e3e6eb", "#d6e3f1", "#a9c6e3", "#2f6fb0"
COLUMNS, STEPS = 6, 400
"""At most so many columns are drawn, and so many rows of the table: those around the most missing values."""


def plot(filled: Filled, record: int | None = None, rows: tuple[int, int] | None = None) -> Image.Image:
    """One panel for each column with gaps, over the stretch of rows where most is missing.

    Args:
        record: which series; the one with most missing values by default.
        rows: which of its rows.
    """
    missing = filled.missing
    r = int(np.argmax([m.sum() for m in missing])) if record is None else record
    low, high = _stretch(missing[r]) if rows is None else rows
    gaps = missing[r][low:high]
    order = np.argsort(-gaps.sum(0), kind="stable")[:COLUMNS]
    shown = sorted(int(k) for k in order if gaps[:, k].any()) or [0]
    image = Image.new("RGB", (SCALE * WIDTH, SCALE * (ROW * len(shown) + BOTTOM)), "white")
    draw = ImageDraw.Draw(image)
    for place, k in enumerate(shown):
        _panel(draw, filled, r, k, low, high, SCALE * ROW * place)
    _stamps(draw, filled, r, low, high, SCALE * ROW * len(shown))
    return image.resize((WIDTH, ROW * len(shown) + BOTTOM), Image.Resampling.LANCZOS)


def _stretch(missing: np.ndarray) -> tuple[int, int]:
    """The rows to show: of all stretches of that many, one with most missing values, but not only those."""
    total = len(missing)
    if total <= STEPS:
        return 0, total
    counts = np.concatenate([[0], np.cumsum(missing.sum(1))])
    inside = counts[STEPS:] - counts[:-STEPS]
    share = inside / missing.shape[1] / STEPS
    start = int(np.argmax(np.where(share < 0.6, inside, 0)))
    return start, start + STEPS


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=SCALE * size)


def _panel(draw: ImageDraw.ImageDraw, filled: Filled, r: int, k: int, low: int, high: int, top: int) -> None:
    record = filled.table.records[r]
    values, gaps = record.values[low:high, k], filled.missing[r][low:high, k]
    draws = filled.draws[r][:, low:high, k]
    q = np.quantile(draws, (0.05, 0.25, 0.5, 0.75, 0.95), axis=0, method="weibull")
    bottom, ceiling = float(np.min(q)), float(np.max(q))
    pad = 0.06 * (ceiling - bottom) or abs(bottom) * 0.1 or 1.0
    bottom, ceiling = bottom - pad, ceiling + pad
    when = record.stamps[low:high]
    span = float(when[-1] - when[0]) or 1.0
    x = SCALE * (LEFT + (when - when[0]) / span * (WIDTH - LEFT - RIGHT))

    def place(y: np.ndarray) -> np.ndarray:
        return top + SCALE * (TOP + (ceiling - y) / (ceiling - bottom) * (ROW - TOP - 8))

    for tick in ticks(bottom, ceiling):
        y = float(place(np.array(tick)))
        draw.line([(SCALE * LEFT, y), (SCALE * (WIDTH - RIGHT), y)], fill=PALE, width=SCALE)
        draw.text((SCALE * (LEFT - 6), y), f"{tick:.4g}", fill=INK, font=_font(10), anchor="rm")
    # A gap's band reaches to the observed neighbours, where all draws agree.
    for start, end in _runs(gaps):
        a, b = max(start - 1, 0), min(end + 1, len(gaps))
        for first, last, colour in ((0, 4, BAND_90), (1, 3, BAND_50)):
            upper, lower = place(q[last, a:b]), place(q[first, a:b])
            edge = list(zip(x[a:b], upper, strict=True)) + list(zip(x[a:b][::-1], lower[::-1], strict=True))
            if len(edge) > 2:
                draw.polygon([(float(u), float(v)) for u, v in edge], fill=colour)
        _line(draw, x[a:b], place(q[2, a:b]), LINE)
    for start, end in _runs(~gaps):
        _line(draw, x[start:end], place(values[start:end]), INK)
        if end - start == 1:
            u, v = float(x[start]), float(place(values[start : start + 1])[0])
            draw.ellipse([u - 2 * SCALE, v - 2 * SCALE, u + 2 * SCALE, v + 2 * SCALE], fill=INK)
    name = filled.table.columns[k]
    title = f"{name}   observed (dark), median (blue), 50 % and 90 % of {len(draws)} draws"
    draw.text((SCALE * LEFT, top + SCALE * 4), title, fill=INK, font=_font(11))


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and after-last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _line(draw: ImageDraw.ImageDraw, x: np.ndarray, y: np.ndarray, colour: str) -> None:
    points = [(float(u), float(v)) for u, v in zip(x, y, strict=True)]
    if len(points) > 1:
        draw.line(points, fill=colour, width=round(1.4 * SCALE), joint="curve")


def _stamps(draw: ImageDraw.ImageDraw, filled: Filled, r: int, low: int, high: int, top: int) -> None:
    """A few time stamps below the panels."""
    table, when = filled.table, filled.table.records[r].stamps[low:high]
    texts: Sequence[float] = np.linspace(when[0], when[-1], 5).tolist()
    for i, stamp in enumerate(texts):
        text = show_stamp(round(stamp), True)[:16] if table.calendar else f"{stamp:.4g}"
        at = SCALE * (LEFT + i / 4 * (WIDTH - LEFT - RIGHT))
        anchor = "la" if i == 0 else "ra" if i == 4 else "ma"
        draw.text((at, top + SCALE * 6), text, fill=INK, font=_font(10), anchor=anchor)
