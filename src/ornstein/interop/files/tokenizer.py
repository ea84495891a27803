"""CLIP's word pieces for a single file, which carries none: from a folder that is named, beside the file, or fetched before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ornstein.core.errors import UsageError

PIECES = (("tokenizer.json",), ("vocab.json", "merges.txt"))
HUB = "openai/clip-vit-large-patch14"
FILES = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")


def tokenizer_files(named: Path | None, beside: Path | None, encoder: Mapping[str, Any]) -> dict[str, str]:
    """The files of a tokenizer, as text.

    Args:
        named: a folder; nothing else is looked at.
        beside: where ``tokenizer/`` may lie.
        encoder: the text encoder's config, whose list of words the tokenizer's must fit.

    Raises:
        UsageError: none was found, or one of another number of words.
    """
    places = [named] if named is not None else [beside / "tokenizer" if beside else None, _fetched()]
    for place in places:
        if place is not None and _has_pieces(place):
            files = {n: (place / n).read_text(encoding="utf-8") for n in FILES if (place / n).is_file()}
            _check(files, place, encoder)
            return files
    where = f"{named} holds" if named is not None else "the file carries"
    raise UsageError(
        f"{where} no tokenizer: give the folder with CLIP's vocab.json and merges.txt (--tokenizer FOLDER), or put it as "
        "tokenizer/ beside the file"
    )


def _has_pieces(folder: Path) -> bool:
    return any(all((folder / n).is_file() for n in names) for names in PIECES)


def _fetched() -> Path | None:
    """CLIP's own tokenizer in the hub's cache, if it was fetched before; nothing is fetched now."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(HUB, "vocab.json")
    return Path(found).parent if isinstance(found, str) else None


def _check(files: Mapping[str, str], place: Path, encoder: Mapping[str, Any]) -> None:
    if "vocab.json" in files:
        words = len(json.loads(files["vocab.json"]))
    else:
        words = len(json.loads(files["tokenizer.json"])["model"]["vocab"])
    if words != encoder["vocab_size"]:
        raise UsageError(
            f"the tokenizer in {place} has {words} words, the text encoder {encoder['vocab_size']}: it is another model's"
        )
