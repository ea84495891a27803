"""What sampling returns: tensors, pictures, and files that say how they were made."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image, ImageDraw, ImageFont, PngImagePlugin
from torch import Tensor

from ornstein.codecs.base import to_bytes
from ornstein.core import cond as conditions
from ornstein.core.errors import CapabilityError, OrnsteinError, unknown

FORMATS = ("png", "jpg", "jpeg", "webp")
"""In which pictures are written: those that keep their provenance."""


PER_SAMPLE = ("prompt", "negative")
"""What may be given once, or as a list with one for each sample."""


@dataclass(frozen=True)
class Samples:
    """``tensor`` is ``[n, C, H, W]`` in [-1, 1] for images, or the modality's own state."""

    tensor: Tensor
    seeds: list[int]
    cond: dict[str, Tensor]
    classes: tuple[str, ...]
    provenance: dict[str, Any]

    @staticmethod
    def join(parts: Sequence[Samples]) -> Samples:
        """Parts of one call as one, in the order of their seeds."""
        parts = sorted(parts, key=lambda part: part.seeds[0])
        return Samples(
            torch.cat([part.tensor for part in parts]),
            [seed for part in parts for seed in part.seeds],
            conditions.cat([part.cond for part in parts]),
            parts[0].classes,
            parts[0].provenance,
        )

    def __len__(self) -> int:
        return self.tensor.shape[0]

    @property
    def bytes(self) -> Tensor:
        """uint8 ``[n, C, H, W]``."""
        self._require_images()
        return to_bytes(self.tensor)

    @property
    def labels(self) -> list[str] | None:
        """Class names, or None for an unconditional system."""
        if "label" not in self.cond:
            return None
        return [self.classes[i] if i >= 0 else "" for i in self.cond["label"].tolist()]

    @property
    def images(self) -> list[Image.Image]:
        """PIL pictures."""
        return [to_image(x) for x in self.bytes]

    def about(self, i: int) -> dict[str, Any]:
        """The provenance of one sample: ours, with its seed and conditions."""
        labels = self.labels
        own = {k: v[i] for k, v in self.provenance.items() if k in PER_SAMPLE and isinstance(v, list)}
        return {**self.provenance, **own, "seed": self.seeds[i], **({"label": labels[i]} if labels else {})}

    def save(self, folder: str | Path, format: str = "png") -> list[Path]:
        """One picture per sample, named by seed (and label), with its full provenance in the file; returns the paths.

        ``format`` is png (text chunks), jpg or webp (EXIF).
        """
        folder = Path(folder)
        if format not in FORMATS:
            raise unknown("format of pictures", format, FORMATS)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            paths = []
            labels = self.labels
            for i, image in enumerate(self.images):
                name = f"{self.seeds[i]:06d}" + (f"-{_slug(labels[i])}" if labels and labels[i] else "")
                paths.append(folder / f"{name}.{format}")
                write_picture(image, paths[-1], self.about(i))
        except OSError as e:
            raise OrnsteinError(f"could not write to {folder}: {e}. Choose another output folder") from e
        return paths

    def grid(self, columns: int | None = None, pad: int = 2, zoom: int = 1) -> Image.Image:
        """All samples in one picture, ``columns`` wide, each magnified ``zoom`` times."""
        return image_grid(self.bytes, columns, pad, zoom)

    def save_grid(self, path: str | Path, columns: int | None = None, pad: int = 2, zoom: int = 1) -> Path:
        """Write :meth:`grid` as a picture with provenance."""
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            about = {**self.provenance, "seeds": [self.seeds[0], self.seeds[-1]]}
            write_picture(self.grid(columns, pad, zoom), path, about)
        except OSError as e:
            raise OrnsteinError(f"could not write {path}: {e}. Choose another output path") from e
        return path

    def _require_images(self) -> None:
        if self.tensor.ndim != 4 or self.tensor.shape[1] not in (1, 3, 4):
            raise CapabilityError(
                f"these samples have shape {tuple(self.tensor.shape)} and are not images; use .tensor"
            )


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-")


def to_image(x: Tensor) -> Image.Image:
    """uint8 ``[C, H, W]`` -> PIL."""
    array = x.permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def image_grid(x: Tensor, columns: int | None = None, pad: int = 2, zoom: int = 1) -> Image.Image:
    """uint8 ``[n, C, H, W]`` in rows of ``columns`` on white."""
    n, c, h, w = x.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    x = x.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
    h, w = h * zoom, w * zoom
    canvas = np.full((rows * (h + pad) + pad, columns * (w + pad) + pad, c), 255, np.uint8)
    for i in range(n):
        top, left = (i // columns) * (h + pad) + pad, (i % columns) * (w + pad) + pad
        canvas[top : top + h, left : left + w] = x[i].permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(canvas[..., 0] if c == 1 else canvas)


def labelled_grid(x: Tensor, names: Sequence[str], columns: int, pad: int = 2, zoom: int = 1) -> Image.Image:
    """:func:`image_grid` with the name of each row written to its left."""
    grid = image_grid(x, columns, pad, zoom).convert("RGB")
    font = ImageFont.load_default(size=15)
    margin = 14 + max(int(font.getlength(name)) for name in names)
    out = Image.new("RGB", (grid.width + margin, grid.height), "white")
    out.paste(grid, (margin, 0))
    draw = ImageDraw.Draw(out)
    row = grid.height / len(names)
    for i, name in enumerate(names):
        draw.text((margin - 8, (i + 0.5) * row), name, fill=(40, 44, 52), font=font, anchor="rm")
    return out


def write_picture(image: Image.Image, path: Path, about: dict[str, Any]) -> None:
    """Write a picture with its provenance inside: text chunks of a PNG, EXIF of a JPEG or WebP; the ending decides.

    Raises:
        UsageError: another ending, in which no provenance would be kept.
    """
    format = path.suffix.lower().removeprefix(".")
    if format not in FORMATS:
        raise unknown("format of pictures", format or path.name, FORMATS)
    if format == "png":
        image.save(path, pnginfo=png_info(about))
    elif format == "webp":
        image.save(path, exif=exif(about), lossless=True)
    else:
        image.save(path, exif=exif(about), quality=95, subsampling=0)


def exif(about: dict[str, Any]) -> Image.Exif:
    """:func:`png_info` for formats without text chunks: our JSON as the description, the other line as the comment."""
    tags = Image.Exif()
    tags[ExifTags.Base.ImageDescription] = json.dumps(about)
    line = parameters_line(about).encode("utf-16-be")
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + line
    return tags


def png_info(about: dict[str, Any]) -> PngImagePlugin.PngInfo:
    """Our own JSON under ``ornstein``, and the ``parameters`` line that other image tools read."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("ornstein", json.dumps(about))
    info.add_itxt("parameters", parameters_line(about))
    return info


def parameters_line(about: dict[str, Any]) -> str:
    """Prompt or label, then ``Steps: .., Sampler: .., CFG scale: .., Seed: ..``: the widely read convention."""
    shown: Sequence[tuple[str, str]] = (
        ("Steps", "steps"), ("Sampler", "sampler"), ("Schedule type", "grid"), ("CFG scale", "guidance"), ("Seed", "seed"),
        ("Model", "recipe"),
    )  # fmt: skip
    line = ", ".join(f"{name}: {about[key]}" for name, key in shown if key in about)
    if about.get("weights", {}).get("hash"):
        line += f", Model hash: {about['weights']['hash'][:10]}"
    prompt, negative = (about.get(name) for name in PER_SAMPLE)
    words = prompt if isinstance(prompt, str) else about.get("label", "")
    words += f"\nNegative prompt: {negative}" if isinstance(negative, str) and negative else ""
    return f"{words}\n{line}, Version: {about['software']}".lstrip("\n")
