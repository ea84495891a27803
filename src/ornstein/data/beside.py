"""Captions that lie beside pictures: ``NAME.txt``, or lines of ``metadata.jsonl``.

``metadata.jsonl`` holds one JSON object a line: ``{"file_name": "a.png", "text": "A red kangaroo."}``; the text may also
be called ``caption``. Paths are relative to the file; it may lie in the folder itself or in any folder below.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import PurePosixPath

from ornstein.core.errors import DataError

METADATA = "metadata.jsonl"
_KEYS = ("text", "caption")


def find_captions(
    pictures: Sequence[str], files: Collection[str], read: Callable[[str], bytes], where: str
) -> tuple[list[str] | None, int]:
    """The caption of each picture ('' for none; None if no picture has one), and how many files they came from.

    ``pictures`` and ``files`` are paths within ``where``; ``read`` gives the contents of one.
    """
    found: dict[str, str] = {}
    used = 0
    for file in sorted(f for f in files if PurePosixPath(f).name == METADATA):
        found |= _metadata(file, read(file), where, set(pictures))
        used += 1
    for picture in pictures if any(file.endswith(".txt") for file in files) else ():
        text = f"{os.path.splitext(picture)[0]}.txt"
        if text in files:
            found[picture] = decode_text(read(text), f"{where}/{text}").strip()
            used += 1
    return ([found.get(picture, "") for picture in pictures] if found else None), used


def decode_text(contents: bytes, name: str) -> str:
    """A text file in UTF-8, with or without a mark at its beginning."""
    try:
        return contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = contents[: error.start].count(b"\n") + 1
        raise DataError(
            f"{name} is not UTF-8: byte 0x{contents[error.start]:02x} in line {line}; save it as UTF-8 "
            f"(iconv -f latin1 -t utf-8, if it came from an older Windows)"
        ) from None


def _metadata(file: str, contents: bytes, where: str, pictures: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    folder = PurePosixPath(file).parent
    for number, line in enumerate(decode_text(contents, f"{where}/{file}").splitlines(), 1):
        if not line.strip():
            continue
        place = f"{where}/{file}, line {number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise DataError(f"{place} is not JSON ({error}); write one object a line") from None
        if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
            raise DataError(f'{place} names no picture; expected {{"file_name": "a.png", "text": "..."}}')
        key = next((k for k in _KEYS if k in entry), None)
        if key is None or not isinstance(entry[key], str):
            raise DataError(f"{place} has no text; call it 'text' or 'caption' (it has {', '.join(map(str, entry))})")
        picture = str(folder / entry["file_name"])
        if picture not in pictures:
            raise DataError(
                f"{place} names {entry['file_name']}, which is not there; add the picture, or drop the line"
            )
        found[picture] = entry[key]
    return found
