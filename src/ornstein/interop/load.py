"""One door for every kind of weights."""

from __future__ import annotations

from pathlib import Path

from ornstein.core.errors import UsageError
from ornstein.recipes import house
from ornstein.recipes.system import System


def load(what: str | Path, *, size: tuple[int, int] | None = None) -> System:
    """A bundled model by name, a run folder, a checkpoint folder, or a pipeline's folder of the diffusers ecosystem.

    Args:
        size: height and width of the pictures, for a pipeline's folder; that of training by default.

    Raises:
        CheckpointError: torn, wrong hash, newer format, of another recipe's shape, parts missing, or a pickle.
        UsageError: nothing of that name (the nearest is named); a size for what draws one size.
        CapabilityError: a diffusers pipeline or option that is not served (named).
    """
    path = Path(what)
    if path.is_dir() and str(what) not in house.bundled_models():
        from ornstein.interop import diffusers

        if diffusers.is_folder(path) or diffusers.resembles(path):
            return diffusers.load(path, size=size)
    if size is not None:
        raise UsageError(f"'{what}' draws pictures of the size it was trained on; size is for diffusers folders")
    return house.load(what)
