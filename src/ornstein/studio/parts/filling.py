"""Gaps and futures of a file of series, drawn by a model of series."""

from __future__ import annotations

from pathlib import Path

import torch

from ornstein.core.errors import CapabilityError, DataError
from ornstein.recipes.series.system import SeriesSystem
from ornstein.studio.core import Studio
from ornstein.studio.views.series import Draws, plots, read_draws
from ornstein.studio.words import FILLS


def drawn(studio: Studio, model: str, path: Path, task: str, n: int, steps: int | None, seed: int) -> list[Draws]:
    """Draws of each record: those of a file of draws (.npz), or what the model puts into a table (.csv).

    Raises:
        CapabilityError: the model is none of series, or not for this task.
        DataError: the file does not fit the model.
    """
    if path.suffix.lower() == ".npz":
        return read_draws(path)
    if path.suffix.lower() != ".csv":
        raise DataError(f"{path.name}: give a table (.csv), or draws (.npz)")
    system = studio.system(model)
    if not isinstance(system, SeriesSystem):
        raise CapabilityError(
            f"'{system.recipe}' draws no series; choose a model of series at the top (recipe csdi, sssd, ...)"
        )
    ask = system.forecast if task == FILLS[1] else system.impute
    filled = ask(path, n=n, steps=steps or None, seed=seed)
    out = []
    for record, draws in zip(filled.table.records, filled.draws, strict=True):
        known = torch.from_numpy(record.values).double()
        out.append(Draws(torch.from_numpy(draws).double(), known, filled.table.columns))
    return out


def shown(draws: Draws) -> str:
    """One record's charts."""
    return plots(draws)
