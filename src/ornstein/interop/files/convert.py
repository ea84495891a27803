"""From one form of a pipeline to another: single file, diffusers folder, run of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.interop.files.bundle import INDEX, Bundle, cast, read_folder, write_folder
from ornstein.interop.files.pickles import read_pickle
from ornstein.interop.files.run import is_pipeline_run, read_run, write_run
from ornstein.interop.files.single import from_original, write_single
from ornstein.interop.files.weights import read_file, read_metadata
from ornstein.training.checkpoint import PICKLES, refuse_pickle

Form = Literal["single", "folder", "run"]
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def form_of(path: Path) -> Form:
    """What a path holds.

    Raises:
        CheckpointError: nothing that is known.
    """
    if (path / INDEX).is_file():
        return "folder"
    if path.is_file() and path.suffix in {".safetensors", *PICKLES}:
        return "single"
    if is_pipeline_run(path):
        return "run"
    what = "does not exist" if not path.exists() else "is neither a pipeline's folder, a single file nor a run of one"
    raise CheckpointError(f"{path} {what}")


def read(
    path: str | Path,
    *,
    variant: str | None = None,
    pickles: bool = False,
    tokenizer: str | Path | None = None,
    prediction: str | None = None,
    base: str | Path | None = None,
) -> Bundle:
    """A pipeline in any of the three forms.

    Args:
        variant: of a folder's weights, "fp16" for instance, where there are several.
        pickles: read ``.ckpt`` and ``.bin`` by the allow-list; they are refused otherwise.
        tokenizer: a folder with CLIP's word pieces, for a single file that carries none.
        prediction: what a single file's network predicts where its family's custom is not meant.
        base: a diffusers folder of the same family, for what a single file of Stable Diffusion 3 or Flux lacks.
    """
    path = Path(path)
    form = form_of(path)
    if prediction not in (None, "epsilon", "v_prediction"):
        raise UsageError(f"prediction is epsilon or v_prediction, got '{prediction}'")
    if base is not None and form != "single":
        raise UsageError(f"{path} is no single file; leave base out")
    if form == "folder":
        return read_folder(path, variant, pickles)
    if form == "run":
        return read_run(path)
    pickled = path.suffix in PICKLES
    if pickled and not pickles:
        refuse_pickle(path)
    tensors = read_pickle(path) if pickled else read_file(path)
    return from_original(
        tensors,
        {} if pickled else read_metadata(path),
        tokenizer=None if tokenizer is None else Path(tokenizer),
        prediction=prediction,
        beside=path.parent,
        base=None if base is None else Path(base),
    )


def convert(
    source: str | Path,
    target: str | Path,
    *,
    to: Form | None = None,
    dtype: str | None = None,
    variant: str | None = None,
    pickles: bool = False,
    tokenizer: str | Path | None = None,
    prediction: str | None = None,
    base: str | Path | None = None,
    drop_unused: bool = False,
) -> Path:
    """Read a pipeline in one form and write it in another; tensors are not changed unless ``dtype`` is given.

    Args:
        to: the form of the target; by default a single file for a name that ends with ``.safetensors``, else a folder.
        dtype: "fp16", "bf16" or "fp32".
        variant: which weights of a folder are read, where there are several.
        base: as for :func:`read`.
        drop_unused: leave out what no part has a place for (averages, an encoder's last layer); it is kept otherwise.

    Raises:
        UsageError: the target exists, or an option that is not known.
        CheckpointError: the source cannot be read; a pickle without ``pickles``.
        CapabilityError: a pipeline that has no such form.
    """
    target = Path(target)
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"dtype is one of {', '.join(DTYPES)}, got '{dtype}'")
    form: Form = to or ("single" if target.suffix == ".safetensors" else "folder")
    if form not in get_args(Form):
        raise UsageError(f"a pipeline is written as {', '.join(get_args(Form))}, not as '{form}'")
    if target.exists() and (target.is_file() or any(target.iterdir())):
        raise UsageError(f"{target} exists already; choose another place")
    bundle = read(source, variant=variant, pickles=pickles, tokenizer=tokenizer, prediction=prediction, base=base)
    if drop_unused:
        bundle.left_over = {}
    if dtype is not None:
        bundle = cast(bundle, DTYPES[dtype])
    if form == "single":
        return write_single(bundle, target)
    return write_run(bundle, target) if form == "run" else write_folder(bundle, target)
