"""Small pieces of HTML: pictures in the page itself, tables, notices. Everything that comes from outside is escaped."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

SMALL = 160
"""Pictures with fewer pixels across are shown as pixels, not smoothed."""


def escape(value: Any) -> str:
    """Text that is safe between tags and in attributes."""
    return html.escape(str(value), quote=True)


def data_uri(image: Image.Image) -> str:
    """A picture as a URI that holds it."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def picture(image: Image.Image | Tensor, alt: str, width: str = "100%") -> str:
    """An ``<img>`` of a PIL picture, or of a tensor: uint8 ``[C, H, W]``, or floats in [-1, 1]."""
    if not isinstance(image, Image.Image):
        from ornstein.codecs.base import to_bytes
        from ornstein.recipes.samples import to_image

        image = to_image(to_bytes(image[None])[0] if image.is_floating_point() else image)
    kind = "o-pixels" if max(image.size) < SMALL else ""
    return f"<img class='o-picture {kind}' style='width:{escape(width)}' alt='{escape(alt)}' src='{data_uri(image)}'>"


def sheet(images: Sequence[Image.Image | Tensor], captions: Sequence[str], size: int = 96) -> str:
    """Pictures in rows as wide as the page, each with its caption."""
    cells = [
        f"<figure style='width:{size}px'>{picture(image, caption)}<figcaption>{escape(caption)}</figcaption></figure>"
        for image, caption in zip(images, captions, strict=True)
    ]
    return f"<div class='o-sheet'>{''.join(cells)}</div>"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], raw: bool = False) -> str:
    """A table; ``raw`` cells are HTML already."""
    show = str if raw else escape
    head = "".join(f"<th scope='col'>{escape(h)}</th>" for h in header)
    body = "".join("<tr>" + "".join(f"<td>{show(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='o-scroll'><table class='o-table'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def facts(values: Mapping[str, Any]) -> str:
    """Names and values in two columns; what is None is left out."""
    rows = [f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in values.items() if v is not None]
    return f"<dl class='o-facts'>{''.join(rows)}</dl>"


def notice(text: str, level: str = "quiet") -> str:
    """A line that says how things stand: "quiet", "good", "warning" or "bad"."""
    return f"<p class='o-notice o-{escape(level)}' role='status'>{escape(text)}</p>" if text else ""


def bar(step: int, steps: int, text: str) -> str:
    """Progress, with what it says."""
    share = 100 * step / steps if steps else 0
    return (
        f"<div class='o-bar' role='progressbar' aria-valuenow='{share:.0f}' aria-valuemin='0' aria-valuemax='100'>"
        f"<i style='width:{share:.1f}%'></i></div><p class='o-notice o-quiet' role='status'>{escape(text)}</p>"
    )


def empty(text: str) -> str:
    """What stands where something will be."""
    return f"<div class='o-empty'>{escape(text)}</div>"
