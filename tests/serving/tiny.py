"""A system small enough to serve thousands of times, and an engine on it."""

from __future__ import annotations

from functools import cache
from threading import Event as Flag

import torch

import ornstein
from ornstein.recipes.system import System
from ornstein.serving import Engine, Job

CLASSES = ("cat", "dog", "owl")


@cache
def tiny(recipe: str = "ddpm") -> System:
    """An untrained system whose network says something: its gains, zero at first, are opened."""
    torch.manual_seed(0)
    made = ornstein.build(
        recipe, settings={"size": 8, "channels": 1, "widths": (32,), "blocks": 1, "patch": 2, "classes": CLASSES}
    )
    with torch.no_grad():
        for key, value in made.modules.named_parameters():
            if key.endswith("gain"):
                value.fill_(0.5)
    return made


def engine(max_batch: int = 32, queue_limit: int = 1024) -> Engine:
    """Not started."""
    return Engine({"tiny": tiny}, max_batch=max_batch, queue_limit=queue_limit)


class Gate:
    """A listener that holds the engine's thread after the first step of a job, until it is opened."""

    def __init__(self, job: Job):
        self.reached, self.opened = Flag(), Flag()
        job.listen(self)

    def __call__(self, event: object) -> None:
        if getattr(event, "kind", "") == "step":
            self.reached.set()
            assert self.opened.wait(20)
