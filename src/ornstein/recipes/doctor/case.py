"""What the checks of a run look at."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ornstein.data import Images, Loader
from ornstein.data.sources import SOURCES
from ornstein.recipes import registry
from ornstein.recipes.registry import make_config
from ornstein.recipes.system import System
from ornstein.training.stage import Stage


@dataclass(frozen=True)
class Case:
    """A trained system, the images it was trained on, and what its checkpoint says of both."""

    run: Path
    meta: dict[str, Any]
    system: System
    images: Images
    device: str = "cpu"

    def fresh(self) -> tuple[System, Stage]:
        """The same system untrained, with its first stage on these images."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            card = registry.card(self.system.recipe)
            config = make_config(card.config, dataclasses.asdict(self.system.config))
            system = card.build(config)
        rows = min(config.batch, len(self.images))
        return system, next(system.stages(Loader(self.images, rows, 0)))


def data_of(meta: dict[str, Any]) -> str | None:
    """What the run was trained on, as far as it can be found again: a named set, or a path that is still there."""
    about = meta.get("data") or {}
    for name in (about.get("name"), about.get("source")):
        if name and (name in SOURCES or ("/" in name and Path(name).exists())):
            return str(name)
    return None
