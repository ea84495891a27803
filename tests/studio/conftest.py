"""A studio on a model so small that everything is quick."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import ornstein
from ornstein.studio.core import Studio

CLASSES = ("circle", "square")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of 8 x 8 pictures in colour, with two labels."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    chosen = {"size": 8, "channels": 3, "classes": CLASSES, "widths": (8, 16), "blocks": 1, "attention": (1,)}
    system = ornstein.build("edm", settings=chosen)
    # Untrained networks say nothing at all; a little weight in the last layer makes them answer.
    import torch

    for parameter in system.modules.parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.05, generator=torch.Generator().manual_seed(0))
    ornstein.export(system, folder, half=False)
    return folder


@pytest.fixture(scope="session")
def studio(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio that offers it first."""
    with Studio([tiny], folder=tmp_path_factory.mktemp("pictures")) as made:
        yield made
