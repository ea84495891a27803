"""The views, in the order in which they are tried. A new modality is a file and a row."""

from __future__ import annotations

from ornstein.core.errors import CapabilityError
from ornstein.recipes.system import System
from ornstein.studio.views.base import View
from ornstein.studio.views.boxes import Boxes
from ornstein.studio.views.images import Images
from ornstein.studio.views.series import SeriesView

VIEWS: tuple[View, ...] = (Images(), Boxes(), SeriesView())


def view_of(system: System) -> View:
    """The view of a system's samples.

    Raises:
        CapabilityError: none fits.
    """
    for view in VIEWS:
        if view.fits(system):
            return view
    known = ", ".join(view.name for view in VIEWS)
    raise CapabilityError(
        f"'{system.recipe}' makes data of shape {system.data_shape}, for which the studio has no view; it has {known}"
    )
