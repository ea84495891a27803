"""From a folder to its family's System."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from torch import Tensor

from ornstein.core.importing import without_collection
from ornstein.interop.diffusers.pipelines.families.base import Options
from ornstein.interop.diffusers.pipelines.folder import read_index
from ornstein.interop.diffusers.pipelines.narrowing import preparing
from ornstein.interop.diffusers.pipelines.system import Pipeline


def load(
    path: str | Path,
    *,
    eta: float = 0.0,
    size: tuple[int, int] | None = None,
    tensors: Mapping[str, Mapping[str, Tensor]] | None = None,
    memory: Sequence[str] = (),
    device: str = "cpu",
) -> Pipeline:
    """The system in a diffusers folder, of the families in :mod:`ornstein.interop.diffusers.pipelines.families`.

    Args:
        path: the folder with ``model_index.json``. Nothing is fetched.
        eta: of DDIM, which keeps it out of its file.
        size: height and width of the pictures; that of training by default.
        tensors: part -> its weights, where they are in memory and not in the folder.
        memory: options of :data:`ornstein.interop.diffusers.pipelines.memory.OPTIONS`; weights are read in the types that stay.
        device: where parts run with the option "offload".

    Raises:
        CheckpointError: not such a folder, a part is missing, tensors are missing or of other shapes, or pickles.
        CapabilityError: a pipeline, part or scheduler option that is not served.
        UsageError: a size that the model does not draw.
    """
    index = replace(read_index(Path(path)), tensors=tensors or {})
    if memory:
        from ornstein.interop.diffusers.pipelines.memory import checked

        memory = checked(memory)
        index = replace(index, prepare=preparing(memory))
    with without_collection():  # the libraries of the parts are imported as the parts are met
        built: Pipeline = import_module(f"{__package__}.families.{index.family.file}").build(index, Options(eta, size))
    if memory:
        from ornstein.interop.diffusers.pipelines.memory import finish

        finish(built, memory, device)
    return built
