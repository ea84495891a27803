"""What a page must know of a model before it can ask it for anything."""

from __future__ import annotations

from dataclasses import dataclass

from ornstein.core.errors import CapabilityError
from ornstein.recipes.system import System
from ornstein.samplers.grids import GRIDS
from ornstein.samplers.table import SAMPLERS
from ornstein.studio.views.table import view_of
from ornstein.studio.words import IN_TURN, NO_LABEL, OWN


@dataclass(frozen=True)
class Facts:
    """Of a loaded model."""

    recipe: str
    labels: tuple[str, ...]
    prompts: bool
    samplers: tuple[str, ...]
    grids: tuple[str, ...]
    steps: int
    sampler: str
    guidance: float
    steers: bool
    """whether it takes conditions, so that guidance has something to strengthen"""
    one_shot: bool
    shape: tuple[int, ...]
    parameters: int
    view: str | None
    """the name of the view of its samples; None where the studio has none"""

    @property
    def line(self) -> str:
        """The model in a line."""
        size = " x ".join(str(s) for s in self.shape)
        number = f"{self.parameters / 1e6:.1f} M" if self.parameters >= 100_000 else f"{self.parameters:,}"
        how = "one call of the network" if self.one_shot else f"{self.sampler}, {self.steps} steps"
        return f"{self.recipe} · {size} · {number} parameters · by default {how}, guidance {self.guidance:g}"

    @property
    def choices(self) -> list[str]:
        """What may be chosen as a label."""
        return [IN_TURN, NO_LABEL, *self.labels] if self.labels else []


def facts_of(system: System) -> Facts:
    """The facts of a model."""
    prompts = system.captions is not None or getattr(system, "prompts", None) is not None
    try:
        view = view_of(system).name
    except CapabilityError:
        view = None
    own = getattr(system.config, "scheduler", None) or system.sampler.name
    return Facts(
        recipe=system.recipe,
        labels=tuple(system.classes),
        prompts=prompts,
        samplers=()
        if system.one_shot
        else (OWN, *(n for n, s in SAMPLERS.items() if isinstance(system.process, s.needs))),
        grids=() if system.one_shot else (OWN, *GRIDS),
        steps=system.steps,
        sampler=str(own),
        guidance=float(system.guidance),
        steers=bool(system.classes) or prompts,
        one_shot=system.one_shot,
        shape=tuple(system.data_shape),
        parameters=system.parameters(),
        view=view,
    )
