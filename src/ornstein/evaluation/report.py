"""One self-contained HTML page about a run: pictures, numbers beside their references, the loss; it works offline."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ornstein.core.errors import OrnsteinError


@dataclass(frozen=True)
class Picture:
    """A picture with a caption; ``zoom`` magnifies it without smoothing."""

    caption: str
    image: Image.Image
    zoom: int = 1


@dataclass(frozen=True)
class Table:
    """A table: header cells, then rows."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Curve:
    """A line plot of (x, y) points; ``log`` draws y logarithmically."""

    caption: str
    points: Sequence[tuple[float, float]]
    x_label: str = "step"
    y_label: str = "loss"
    log: bool = True


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    parts: Sequence[Picture | Table | Curve | Text]


STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --dim: #667080; --line: #d9dee6; --page: #fbfbfa; --mark: #2f6fb0 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ec; --dim: #98a1b0; --line: #353c48; --page: #15181d;
  --mark: #7db3ea } }
body { margin: 0 auto; padding: 3rem 1.5rem 5rem; max-width: 60rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 Georgia, 'Iowan Old Style', 'Times New Roman', serif }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem } h2 { font-size: 1.25rem; margin: 3rem 0 .8rem }
p.lead { color: var(--dim); margin: 0 }
figure { margin: 1.2rem 0 } figcaption, caption { color: var(--dim); font-size: .88rem; text-align: left; margin-top: .4rem }
img { max-width: 100%; height: auto; image-rendering: pixelated; border: 1px solid var(--line) }
table { border-collapse: collapse; width: 100%; font: 14px/1.4 system-ui, sans-serif; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { color: var(--dim); font-weight: 500 } caption { caption-side: bottom; padding-top: .4rem }
svg { width: 100%; height: auto } svg text { font: 11px system-ui, sans-serif; fill: var(--dim) }
svg .axis { stroke: var(--line) } svg .curve { fill: none; stroke: var(--mark); stroke-width: 1.6 }
code { font: 13px/1.4 ui-monospace, monospace } pre { overflow-x: auto; border-left: 3px solid var(--line); padding-left: 1rem }
"""


def html_report(path: str | Path, *, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write the page; everything is inlined, nothing is fetched when it is opened."""
    body = "".join(
        f"<section><h2>{html.escape(s.title)}</h2>{''.join(_part(p) for p in s.parts)}</section>" for s in sections
    )
    page = (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'><style>{STYLE}</style></head>"
        f"<body><h1>{html.escape(title)}</h1><p class='lead'>{html.escape(lead)}</p>{body}</body></html>"
    )
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as e:
        raise OrnsteinError(f"could not write the report {path}: {e}") from e
    return path


def _part(part: Picture | Table | Curve | Text) -> str:
    if isinstance(part, Text):
        return f"<p>{html.escape(part.text)}</p>"
    if isinstance(part, Picture):
        buffer = io.BytesIO()
        part.image.save(buffer, "PNG", optimize=True)
        data = base64.b64encode(buffer.getvalue()).decode()
        caption = html.escape(part.caption)
        width = part.image.width * part.zoom
        return (
            f"<figure><img alt='{caption}' width='{width}' src='data:image/png;base64,{data}'>"
            f"<figcaption>{caption}</figcaption></figure>"
        )
    if isinstance(part, Table):
        head = "".join(f"<th>{html.escape(h)}</th>" for h in part.header)
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in part.rows)
        return f"<table><caption>{html.escape(part.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<figure>{curve_svg(part)}<figcaption>{html.escape(part.caption)}</figcaption></figure>"


def curve_svg(curve: Curve, width: int = 720, height: int = 260) -> str:
    """The curve as inline SVG with three labelled ticks on each axis."""
    points = [
        (x, math.log10(y) if curve.log else y) for x, y in curve.points if math.isfinite(y) and (y > 0 or not curve.log)
    ]
    if len(points) < 2:
        return "<p>Too few records for a curve.</p>"
    left, right, top, bottom = 56, 12, 26, 36
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    y1 = y1 if y1 > y0 else y0 + 1

    def place(x: float, y: float) -> tuple[float, float]:
        px = left + (x - x0) / (x1 - x0) * (width - left - right)
        return px, top + (y1 - y) / (y1 - y0) * (height - top - bottom)

    line = " ".join(f"{px:.1f},{py:.1f}" for px, py in (place(x, y) for x, y in points))
    marks = []
    for share in (0.0, 0.5, 1.0):
        x, y = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
        px, _ = place(x, y0)
        _, py = place(x0, y)
        value = 10**y if curve.log else y
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        marks.append(f"<text x='{px:.0f}' y='{height - bottom + 16}' text-anchor='{anchor}'>{_tick(x, x1 - x0)}</text>")
        marks.append(f"<text x='{left - 8}' y='{py + 4:.0f}' text-anchor='end'>{value:.3g}</text>")
        marks.append(f"<line class='axis' x1='{left}' x2='{width - right}' y1='{py:.1f}' y2='{py:.1f}'/>")
    labels = (
        f"<text x='{width - right}' y='{height - 4}' text-anchor='end'>{html.escape(curve.x_label)}</text>"
        f"<text x='{left}' y='12'>{html.escape(curve.y_label)}</text>"
    )
    drawn = "".join(marks) + labels + f"<polyline class='curve' points='{line}'/>"
    return f"<svg viewBox='0 0 {width} {height}' role='img'>{drawn}</svg>"


def _tick(value: float, span: float) -> str:
    """Whole numbers over long axes, three digits over short ones."""
    return f"{value:,.0f}" if span >= 10 else f"{value:.3g}"


def provenance_table(about: Mapping[str, Any], caption: str = "How this was made") -> Table:
    """A flat table of a provenance mapping; nested mappings are written ``outer.inner``."""
    rows: list[tuple[str, str]] = []

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            rows.append((prefix, shown))

    walk("", about)
    return Table(caption, ("what", "value"), rows)
