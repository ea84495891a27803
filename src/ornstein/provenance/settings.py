"""How a picture was made, read back from its file: ours, or the ``parameters`` line of other image tools."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from PIL import ExifTags, Image

from ornstein.core.errors import DataError
from ornstein.data.decode import FORMATS, MAX_PIXELS

_LONGEST = 1 << 20  # letters of a text that is read; ours have some thousands

_NAMES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "Steps": ("steps", int),
    "Sampler": ("sampler", str),
    "Schedule type": ("grid", str),
    "CFG scale": ("guidance", float),
    "Seed": ("seed", int),
    "Model": ("recipe", str),
    "Version": ("software", str),
}
_PAIR = re.compile(r'\s*([^:,]+):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')


@final
@dataclass(frozen=True)
class Settings:
    """``values`` by our names (recipe, weights, seed, sampler, steps, guidance, label, prompt ...).

    ``source``: "ornstein", where all that we know of the picture is there, or "parameters", the line that many tools write.
    """

    values: dict[str, Any]
    source: str


def read_settings(picture: str | Path | Image.Image) -> Settings | None:
    """The settings that a PNG, JPEG or WebP file carries; None if it carries none. No pixel is decoded.

    Raises:
        DataError: there is no such file, it is not a picture, or its settings are damaged.
    """
    if isinstance(picture, Image.Image):
        return _from(picture, "the picture")
    path = Path(picture)
    with open_picture(path) as file:
        return _from(file, str(path))


def open_picture(path: Path) -> Image.Image:
    """A picture file, opened but not decoded.

    Raises:
        DataError: there is none, it is no picture, or one of too many pixels.
    """
    if not path.is_file():
        raise DataError(f"no picture at {path}")
    try:
        file = Image.open(path, formats=FORMATS)
    except Exception as e:  # damaged headers raise errors of any type
        raise DataError(f"{path} is not a picture that is read here: {e}") from e
    if file.width * file.height > MAX_PIXELS:
        file.close()
        raise DataError(f"{path} declares {file.width} x {file.height} pixels, more than {MAX_PIXELS:,}")
    return file


def _from(file: Image.Image, name: str) -> Settings | None:
    ours, line = texts(file)
    if ours is not None:
        if len(ours) > _LONGEST:
            raise DataError(
                f"the settings in {name} take {len(ours):,} letters, more than {_LONGEST:,}; they are not ours"
            )
        try:
            values = json.loads(ours)
        except (ValueError, RecursionError) as e:
            raise DataError(f"the settings in {name} are damaged: {e}") from e
        if not isinstance(values, dict):
            raise DataError(f"the settings in {name} are damaged: a {type(values).__name__}, not a table of names")
        return Settings(values, "ornstein")
    if line is None or len(line) > _LONGEST:
        return None
    values = parse_parameters(line)
    return Settings(values, "parameters") if values else None


def texts(file: Image.Image) -> tuple[str | None, str | None]:
    """Our JSON and the ``parameters`` line: of PNG text, else of EXIF."""
    info = file.info
    ours, line = (info.get(name) if isinstance(info.get(name), str) else None for name in ("ornstein", "parameters"))
    try:
        exif = file.getexif()
        comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
        description = exif.get(ExifTags.Base.ImageDescription)
    except Exception:  # EXIF of a damaged file: as if there were none
        return ours, line
    if ours is None and isinstance(description, str) and description.startswith('{"software": "ornstein'):
        ours = description
    if line is None and isinstance(comment, bytes) and comment.startswith(b"UNICODE\0"):
        line = comment[8:].decode("utf-16-be", errors="replace")
    return ours, line


def parse_parameters(text: str) -> dict[str, Any]:
    """``prompt``, ``Negative prompt: ..`` and ``Steps: 20, Sampler: .., Seed: ..`` by our names; {} if it is not of that form.

    Numbers that cannot be read are left out, names that we do not have are kept as they are.
    """
    *above, last = text.strip().split("\n")
    pairs = {name.strip(): value.strip() for name, value in _PAIR.findall(last)}
    if "Steps" not in pairs and "Seed" not in pairs:
        return {}
    values: dict[str, Any] = {}
    for name, value in pairs.items():
        ours, kind = _NAMES.get(name, (name, str))
        try:
            values[ours] = kind(value.strip('"'))
        except ValueError:
            continue
    words, _, negative = "\n".join(above).partition("Negative prompt:")
    return values | {k: v.strip() for k, v in (("prompt", words), ("negative", negative)) if v.strip()}
