"""One door for every kind of weights."""

from __future__ import annotations

from pathlib import Path

from ornstein.recipes import house
from ornstein.recipes.system import System


def load(what: str | Path) -> System:
    """A bundled model by name, a run folder, a checkpoint folder, or a pipeline's folder of the diffusers ecosystem.

    Raises:
        CheckpointError: torn, wrong hash, newer format, of another recipe's shape, parts missing, or a pickle.
        UsageError: nothing of that name (the nearest is named).
        CapabilityError: a diffusers pipeline or option that is not served (named).
    """
    path = Path(what)
    if (path / "model_index.json").is_file() and str(what) not in house.bundled_models():
        from ornstein.interop import diffusers

        return diffusers.load(path)
    return house.load(what)
