"""A reference as features on disk: measured once, compared with often, and only under the extractor that made it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ornstein.core.errors import DataError, OrnsteinError
from ornstein.evaluation.features.extractors import Extractor
from ornstein.evaluation.rows import Rows


@final
@dataclass(frozen=True)
class Reference:
    """Rows of a reference set, of images ``shape`` = (C, H, W), and the extractor that they were made with."""

    rows: Rows
    shape: tuple[int, ...]
    extractor: str
    extractor_hash: str
    content_hash: str
    """of the images"""
    name: str = "reference"
    split: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def require(self, extractor: Extractor) -> None:
        """Refuse another extractor.

        Raises:
            DataError: names both.
        """
        if extractor.hash != self.extractor_hash:
            raise DataError(
                f"the reference '{self.name}' was made with '{self.extractor}' (hash {self.extractor_hash[:12]}) and the samples "
                f"are measured with '{extractor.name}' (hash {extractor.hash[:12]}); make the reference again with that"
            )

    def rows_for(self, extractor: Extractor) -> Rows:
        """The rows, if this is the extractor that made them."""
        self.require(extractor)
        return self.rows

    def save(self, path: str | Path) -> Path:
        """As safetensors, written to the side and renamed into place."""
        path = Path(path)
        about = {
            "shape": self.shape, "extractor": self.extractor, "extractor_hash": self.extractor_hash,
            "content_hash": self.content_hash, "name": self.name, "split": self.split,
        }  # fmt: skip
        beside = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            tensors = {name: x.contiguous() for name, x in self.rows.tensors().items()}
            save_file(tensors, beside, {"ornstein-reference": json.dumps(about)})
            os.replace(beside, path)
        except OSError as e:
            raise OrnsteinError(f"cannot write {path}: {e}; choose another place") from e
        return path

    @staticmethod
    def load(path: str | Path) -> Reference:
        """The inverse of :meth:`save`.

        Raises:
            DataError: no such file, torn, or no reference.
        """
        try:
            with safe_open(path, "pt") as stored:
                about: dict[str, Any] = json.loads((stored.metadata() or {})["ornstein-reference"])
                rows = Rows.of({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
            return Reference(rows, tuple(about.pop("shape")), **about)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as e:
            raise DataError(
                f"{path} is no saved reference ({e}); write one with `ornstein evaluate ... --save-reference {path}`"
            ) from e
