"""A model's class and its tensors put together: every tensor in its place, or the list of those that are not."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.interop.files.clip_names import PREFIX
from ornstein.interop.files.vae_names import modern
from ornstein.interop.files.weights import find, misfits, read_part


def fitted(
    kind: Any,
    folder: Path,
    tensors: Mapping[str, Tensor] | None = None,
    prepare: Callable[[nn.Module], None] | None = None,
) -> Any:
    """The model of class ``kind`` that ``folder/config.json`` describes, with its weights, ready to be called.

    Args:
        tensors: by name; by default those of the folder (one file, shards or a variant).
        prepare: what is done to the model while it is empty. The weights are read into the types that its tensors then have,
            float32 where they were left alone.

    Raises:
        CheckpointError: the config or the weights cannot be read, or do not fit each other (the tensors are listed).
        UsageError: a library is missing.
    """
    try:
        from accelerate import init_empty_weights
    except ImportError as e:
        raise UsageError("reading checkpoints needs accelerate: pip install 'ornstein[diffusers]'") from e
    if tensors is None:
        find(folder)  # refuses pickles before anything is built
    try:
        # No memory and no time for initial values that are replaced at once; buffers are computed as always.
        with init_empty_weights():
            if hasattr(kind, "load_config"):
                config = kind.load_config(folder, local_files_only=True)
                model = kind.from_config(config)
            else:
                model = kind(kind.config_class.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, TypeError, RuntimeError) as e:
        raise CheckpointError(f"{folder / 'config.json'} does not describe a {kind.__name__}: {e}") from e
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.float()
    if prepare is not None:
        prepare(model)
    wanted = model.state_dict()
    narrow = {name: value.dtype for name, value in wanted.items() if value.dtype not in (torch.float32, torch.int64)}

    def kinds(name: str) -> torch.dtype:
        names = (name, PREFIX + name, name.removeprefix(PREFIX))
        return next((narrow[n] for n in names if n in narrow), torch.float32)

    given = _named_alike(read_part(folder, kinds=kinds) if tensors is None else dict(tensors), wanted)
    # Tensors that are another's (an encoder's embedding) are in a file once.
    tied = [k for k in getattr(model, "all_tied_weights_keys", None) or () if k not in given]
    wrong = misfits({k: v for k, v in wanted.items() if k not in tied}, given)
    if wrong:
        raise CheckpointError(f"the weights in {folder} do not fit {kind.__name__}: {wrong}")
    placed = {k: v.to(wanted[k].dtype) if v.is_floating_point() else v for k, v in given.items()}
    model.load_state_dict(placed, assign=True, strict=not tied)
    if tied:
        model.tie_weights()
    say_signatures(model)
    return model.requires_grad_(False).eval()


def say_signatures(model: nn.Module) -> None:
    """Let the classes of a model's attention processors say their signature where ``inspect`` looks for it first.

    diffusers asks for the signature at every call of every attention, and working it out anew takes a tenth of a small
    network's time.
    """
    for kind in {type(m.processor) for m in model.modules() if hasattr(m, "processor")}:
        call = kind.__call__
        if inspect.isfunction(call) and not hasattr(call, "__signature__"):
            vars(call)["__signature__"] = inspect.signature(call)


def _named_alike(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names that this version of the library has for them."""
    out = modern(given)
    for name in [n for n in out if n.endswith("position_ids") and n not in wanted]:
        del out[name]
    # transformers 5 leaves this prefix out where the encoder is all of the model.
    for old, new in ((PREFIX, ""), ("", PREFIX)):
        if not set(out) <= set(wanted):
            moved = {_moved(k, old, new): v for k, v in out.items()}
            out = moved if set(moved) & set(wanted) > set(out) & set(wanted) else out
    return out


def _moved(name: str, old: str, new: str) -> str:
    return new + name[len(old) :] if name.startswith(old) else name
