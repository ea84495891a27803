"""A pipeline that is no folder, opened as one: its small files in a temporary folder, its tensors in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ornstein.interop import diffusers
from ornstein.interop.files.bundle import write_small
from ornstein.interop.files.convert import read


def opened(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    tokenizer: str | Path | None = None,
    prediction: str | None = None,
    variant: str | None = None,
    base: str | Path | None = None,
    memory: Sequence[str] = (),
    device: str = "cpu",
) -> diffusers.Pipeline:
    """The system in a single file, in a run of ours, or in a variant of a folder.

    Raises:
        CheckpointError, UsageError, CapabilityError: as :func:`ornstein.interop.files.read` and :func:`diffusers.load`.
    """
    bundle = read(path, variant=variant, tokenizer=tokenizer, prediction=prediction, base=base)
    with TemporaryDirectory(prefix="ornstein-") as folder:
        write_small(bundle, Path(folder))
        for part in bundle.tensors:
            (Path(folder) / part).mkdir(exist_ok=True)
        system = diffusers.load(folder, size=size, tensors=bundle.tensors, memory=memory, device=device)
    return replace(system, weights={"path": path.name})
