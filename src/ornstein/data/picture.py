"""One picture of what a set holds, of whatever kind it is."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ornstein.data.dataset import Images, Table

TILE = 128
"""Side of a tile for what is drawn; pictures keep their own size where they are smaller."""

_INK = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf")
_COLUMNS = 8


def picture(table: Table, count: int = 64) -> Image.Image | None:
    """Up to ``count`` samples, spread evenly over the set; None for tokens and vectors, which are no sight.

    Pictures as they are; of a video eight frames in a row; of a volume its middle slice; series and sound as curves; points
    from the front.
    """
    rows = np.unique(np.linspace(0, len(table) - 1, min(count, len(table))).round().astype(int))
    if isinstance(table, Images):
        return _grid([_image(x) for x in table.x[rows]])
    if table.kind == "video":
        clips = table.x[rows[: max(count // _COLUMNS, 1)]]
        frames = np.linspace(0, clips.shape[1] - 1, _COLUMNS).round().astype(int)
        return _grid([_image(_bytes(clip[t], clips)) for clip in clips for t in frames])
    draw = {"series": _curves, "audio": _curves, "points": _points, "volumes": _slice, "latents": _first}.get(
        table.kind
    )
    if draw is None:
        return None
    # -1: all of it counts
    lengths = table.conds["length"][rows] if "length" in table.conds else np.full(len(rows), -1)
    return _grid([draw(x, int(n)) for x, n in zip(table.x[rows], lengths, strict=True)])


def _grid(tiles: list[Image.Image]) -> Image.Image:
    columns = min(_COLUMNS, len(tiles))
    width, height = max(t.width for t in tiles), max(t.height for t in tiles)
    sheet = Image.new("RGB", (columns * (width + 2), -(-len(tiles) // columns) * (height + 2)), "white")
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (i % columns * (width + 2) + 1, i // columns * (height + 2) + 1))
    return sheet


def _image(x: np.ndarray) -> Image.Image:
    """``[C, H, W]`` uint8."""
    values = x[0] if x.shape[0] == 1 else x[:3].transpose(1, 2, 0)
    found = Image.fromarray(np.ascontiguousarray(values)).convert("RGB")
    found.thumbnail((TILE, TILE))
    return found


def _bytes(x: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Values as uint8; other types from the smallest to the largest value of ``of``."""
    if x.dtype == np.uint8:
        return x
    low, high = float(of.min()), float(of.max())
    scaled: np.ndarray = ((x.astype(np.float64) - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    return scaled


def _curves(x: np.ndarray, length: int) -> Image.Image:
    """``[C, T]``: each channel from its smallest to its largest value."""
    tile = Image.new("RGB", (TILE, TILE // 2), "#f4f4f4")
    draw = ImageDraw.Draw(tile)
    for channel, ink in zip(x, _INK, strict=False):
        y = channel[: max(length, 2) if length >= 0 else None].astype(np.float64)
        y = (y - y.min()) / max(float(y.max() - y.min()), 1e-12)
        at = np.linspace(0, len(y) - 1, min(len(y), 2 * TILE)).astype(int)
        line = [(TILE * i / (len(y) - 1), (TILE // 2 - 3) * (1 - float(y[i])) + 1) for i in at]
        draw.line(line, fill=ink)
    return tile


def _points(x: np.ndarray, length: int) -> Image.Image:
    """``[P, D]``: the first two coordinates, drawn over one another from back to front."""
    tile = Image.new("RGB", (TILE, TILE), "#f4f4f4")
    cloud = x[: max(length, 1) if length >= 0 else None]
    spread = max(float(np.ptp(cloud[:, :2], axis=0).max()), 1e-12)
    place = (cloud[:, :2] - cloud[:, :2].min(0)) / spread * (TILE - 8) + 4
    depth = cloud[:, 2] if cloud.shape[1] > 2 else np.zeros(len(cloud))
    shade = np.interp(depth, (depth.min(), depth.max() + 1e-12), (160, 30)).astype(int)
    for i in np.argsort(depth):
        tile.putpixel((int(place[i, 0]), TILE - 1 - int(place[i, 1])), (int(shade[i]),) * 3)
    return tile


def _slice(x: np.ndarray, length: int) -> Image.Image:
    """``[C, D, H, W]``: the middle of the depth."""
    middle = x[:1, x.shape[1] // 2]
    tile = _image(
        _bytes(middle, x) if x.dtype != np.uint8 else (middle * (255 // max(int(x.max()), 1))).astype(np.uint8)
    )
    return tile.resize((TILE, TILE), Image.Resampling.NEAREST)


def _first(x: np.ndarray, length: int) -> Image.Image:
    """``[C, H, W]``: the first channel."""
    return _image(_bytes(x[:1], x[:1])).resize((TILE, TILE), Image.Resampling.NEAREST)
