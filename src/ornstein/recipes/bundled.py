"""The models that ship with the package: what they are, how they were made, and what was measured of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ornstein.core.errors import CheckpointError

WEIGHTS = Path(__file__).parent.parent / "weights"
QUALITY = "quality.json"


@dataclass(frozen=True)
class Bundled:
    """One bundled model, read from its manifest without loading its tensors."""

    name: str
    recipe: str
    sha256: str
    """of ``model.safetensors``"""
    megabytes: float
    about: dict[str, Any]
    """command, data, licence, seed, steps, images seen, machine class"""
    quality: tuple[dict[str, Any], ...]
    """rows of its benchmark, made from these very weights; empty if they were not measured yet"""

    def page(self) -> list[str]:
        """Lines of Markdown."""
        out = [
            f"### {self.name}",
            "",
            f"Recipe `{self.recipe}`, {self.megabytes:.1f} MB, sha256 `{self.sha256[:16]}`.",
            "",
        ]
        out += [f"- {key}: {f'`{value}`' if key == 'command' else value}" for key, value in self.about.items()]
        if self.quality:
            columns = list(dict.fromkeys(key for row in self.quality for key in row))
            out += ["", "| " + " | ".join(c.replace("_", " ") for c in columns) + " |", "| --- " * len(columns) + "|"]
            out += ["| " + " | ".join(str(row.get(c, "")) for c in columns) + " |" for row in self.quality]
        return out


def read(folder: Path) -> Bundled:
    """One model's entry.

    Raises:
        CheckpointError: its quality was measured on other weights than those that lie there.
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    file = manifest["files"]["model.safetensors"]
    quality: dict[str, Any] = {"rows": []}
    if (folder / QUALITY).is_file():
        quality = json.loads((folder / QUALITY).read_text(encoding="utf-8"))
        if quality["sha256"] != file["sha256"]:
            raise CheckpointError(
                f"{folder / QUALITY} was measured on other weights; run benchmarks/bundled_quality.py --record again"
            )
    meta = manifest["meta"]
    return Bundled(
        folder.name, meta["recipe"], file["sha256"], file["bytes"] / 1e6, meta.get("about", {}), tuple(quality["rows"])
    )


def bundled() -> list[Bundled]:
    """All models that ship, by name."""
    return [read(p.parent) for p in sorted(WEIGHTS.glob("*/manifest.json"))]
