"""What each tab does, without a page. Each part is read when it is first used: :mod:`ornstein.studio.later` says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ornstein.studio.later import on_demand

if TYPE_CHECKING:
    from ornstein.studio.parts import catalogue as catalogue
    from ornstein.studio.parts import comparing as comparing
    from ornstein.studio.parts import editing as editing
    from ornstein.studio.parts import evaluating as evaluating
    from ornstein.studio.parts import explaining as explaining
    from ornstein.studio.parts import filling as filling
    from ornstein.studio.parts import generating as generating
    from ornstein.studio.parts import models as models
    from ornstein.studio.parts import settings as settings
    from ornstein.studio.parts import training as training
    from ornstein.studio.parts import walking as walking

NAMES = (
    "models", "generating", "settings", "editing", "comparing", "walking", "explaining", "training", "evaluating", "filling",
    "catalogue",
)  # fmt: skip
"""In the order in which a user comes to need them."""

__getattr__ = on_demand(__name__, NAMES)
