"""One door for every kind of weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.interop import hub
from ornstein.interop.files.run import is_pipeline_run
from ornstein.recipes import saved
from ornstein.recipes.system import System


def load(
    what: str | Path,
    *,
    size: tuple[int, int] | None = None,
    tokenizer: str | Path | None = None,
    prediction: str | None = None,
    variant: str | None = None,
    base: str | Path | None = None,
    memory: Sequence[str] = (),
    device: str = "cpu",
    fetch: bool = False,
) -> System:
    """A bundled model by name, a run folder, a checkpoint folder, a pipeline's folder of the diffusers ecosystem or its name on
    the hub (``OWNER/NAME``), or a single ``.safetensors`` file in the original layout of Stable Diffusion or Flux.

    Args:
        size: height and width of the pictures, for a pipeline; that of training by default.
        tokenizer: a folder with CLIP's word pieces, for a single file that carries none.
        prediction: what a single file's network predicts ("epsilon", "v_prediction"), where its family's custom is not meant.
        variant: which weights of a diffusers folder, where it has several.
        base: a diffusers folder of the same family, for what a single file of Stable Diffusion 3 or Flux lacks (encoders,
            tokenizers, configs).
        memory: what a pipeline does to take less of it: :data:`ornstein.interop.diffusers.pipelines.memory.OPTIONS`.
        device: where its parts run with the option "offload".
        fetch: fetch a name of the hub; without it one that was fetched before is found, and nothing else.

    Raises:
        CheckpointError: torn, wrong hash, newer format, of another recipe's shape, parts missing, or a pickle.
        UsageError: nothing of that name (the nearest is named), or an option that goes with something else.
        CapabilityError: a diffusers pipeline or option that is not served (named).
    """
    path = Path(what)
    if hub.is_name(what):
        path = hub.fetch(str(what), variant) if fetch else hub.found(str(what)) or path
    elif fetch:
        raise UsageError(f"'{what}' is no name on the hub (OWNER/NAME), or is on this disk; leave fetch out")
    if str(what) not in saved.bundled_models():
        single = path.is_file() and path.suffix == ".safetensors" and not (path.parent / "manifest.json").is_file()
        if single or variant is not None or is_pipeline_run(path):
            from ornstein.interop.files.opened import opened

            return opened(
                path,
                size=size,
                tokenizer=tokenizer,
                prediction=prediction,
                variant=variant,
                base=base,
                memory=memory,
                device=device,
            )
        if tokenizer is not None or prediction is not None or base is not None:
            raise UsageError(f"'{what}' is no single file; leave tokenizer, prediction and base out")
        if path.is_dir():
            from ornstein.interop import diffusers

            if diffusers.is_folder(path) or diffusers.resembles(path):
                return diffusers.load(path, size=size, memory=memory, device=device)
    if memory:
        raise CapabilityError("memory options are for pipelines of the diffusers ecosystem")
    if size is not None:
        raise UsageError(f"'{what}' draws pictures of the size it was trained on; size is for diffusers folders")
    return saved.load(what)
