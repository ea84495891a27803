"""Boxes of a detector: rectangles on an empty picture, one drawing for each sample."""

from __future__ import annotations

from pathlib import Path
from typing import final

import numpy as np
from torch import Tensor

from ornstein.recipes.perception.diffusion_inst import Detector
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.studio.views.base import Shown, View

SHOWN = 16
"""Samples that are drawn; the file has all."""


def drawing(corners: Tensor) -> str:
    """Rectangles of ``corners [n, 4]``, in units of the picture's sides, as SVG; what lies outside the picture is cut."""
    rectangles = []
    for x1, y1, x2, y2 in (100 * corners.double().clamp(0, 1)).tolist():
        place = f"x='{x1:.1f}' y='{y1:.1f}' width='{max(x2 - x1, 0):.1f}' height='{max(y2 - y1, 0):.1f}'"
        rectangles.append(f"<rect class='o-box' {place}/>")
    return f"<svg viewBox='0 0 100 100' role='img' aria-label='{len(rectangles)} boxes'>{''.join(rectangles)}</svg>"


@final
class Boxes(View):
    """Systems that find boxes. The page gives no picture to look at, so these are boxes of things that might be there."""

    name = "boxes"

    def fits(self, system: System) -> bool:
        return isinstance(system, Detector)

    def preview(self, x: Tensor) -> str:
        return f"<div class='o-boxes'>{''.join(drawing(one) for one in x[:SHOWN])}</div>"

    def show(self, samples: Samples, folder: Path) -> Shown:
        path = folder / f"boxes-{samples.seeds[0]:06d}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, boxes=samples.tensor.numpy())
        return Shown(html=self.preview(samples.tensor), files=[path])
