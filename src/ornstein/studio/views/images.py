"""Pictures: a gallery of PNG files that carry their settings."""

from __future__ import annotations

from pathlib import Path
from typing import final

from torch import Tensor

from ornstein.codecs.base import to_bytes
from ornstein.recipes.samples import Samples, image_grid
from ornstein.recipes.system import System
from ornstein.studio.html import picture
from ornstein.studio.views.base import Shown, View

CHANNELS = (1, 3, 4)


@final
class Images(View):
    """Systems whose data are ``[1, 3 or 4 channels, H, W]``."""

    name = "images"

    def fits(self, system: System) -> bool:
        return len(system.data_shape) == 3 and system.data_shape[0] in CHANNELS

    def preview(self, x: Tensor) -> str:
        columns = min(len(x), max(1, round((len(x) * 1.6) ** 0.5)))
        return picture(image_grid(to_bytes(x.clamp(-1, 1)), columns), f"{len(x)} unfinished pictures")

    def show(self, samples: Samples, folder: Path) -> Shown:
        paths = samples.save(folder)
        labels = samples.labels or [""] * len(samples)
        captions = [
            f"{label}, {seed}" if label else f"{seed}" for label, seed in zip(labels, samples.seeds, strict=True)
        ]
        return Shown(gallery=list(zip(paths, captions, strict=True)), files=paths)
