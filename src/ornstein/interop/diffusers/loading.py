"""From a folder to its family's System."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from torch import Tensor

from ornstein.core.importing import without_collection
from ornstein.interop.diffusers.families.base import Options
from ornstein.interop.diffusers.folder import read_index
from ornstein.interop.diffusers.system import Pipeline


def load(
    path: str | Path,
    *,
    eta: float = 0.0,
    size: tuple[int, int] | None = None,
    tensors: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> Pipeline:
    """The system in a diffusers folder, of the families in :mod:`ornstein.interop.diffusers.families`.

    Args:
        path: the folder with ``model_index.json``. Nothing is fetched.
        eta: of DDIM, which keeps it out of its file.
        size: height and width of the pictures; that of training by default.
        tensors: part -> its weights, where they are in memory and not in the folder.

    Raises:
        CheckpointError: not such a folder, a part is missing, tensors are missing or of other shapes, or pickles.
        CapabilityError: a pipeline, part or scheduler option that is not served.
        UsageError: a size that the model does not draw.
    """
    index = replace(read_index(Path(path)), tensors=tensors or {})
    with without_collection():  # the libraries of the parts are imported as the parts are met
        built: Pipeline = import_module(f"{__package__}.families.{index.family.file}").build(index, Options(eta, size))
    return built
