"""What a view is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System


@dataclass(frozen=True)
class Shown:
    """What a page shows of samples: pictures with captions for the gallery, HTML, files to take home. Any may be empty."""

    gallery: list[tuple[Path, str]] = field(default_factory=list)
    html: str = ""
    files: list[Path] = field(default_factory=list)


class View(ABC):
    """A modality's way to show samples. Views hold no state."""

    name: ClassVar[str]

    @abstractmethod
    def fits(self, system: System) -> bool:
        """Whether this system's samples are of this modality."""

    @abstractmethod
    def preview(self, x: Tensor) -> str:
        """HTML of unfinished samples ``[n, ...]``, on the scale of the data."""

    @abstractmethod
    def show(self, samples: Samples, folder: Path) -> Shown:
        """Finished samples; files are written to ``folder``."""
