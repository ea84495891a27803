"""Tensors of one part of a folder: one safetensors file, several with an index, or a variant of smaller numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ornstein.core.errors import CheckpointError
from ornstein.training.checkpoint import PICKLES

STEMS = ("diffusion_pytorch_model", "model", "adapter_model")
INDEX = ".index.json"
Kinds = Callable[[str], torch.dtype]
"""the type in which a tensor of floats is wanted, by its name"""
_FLOATS = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
_AT_ONCE = 64_000_000
"""bytes of a file that are mapped before they are let go"""


def find(folder: Path, variant: str | None = None) -> list[Path]:
    """The files that hold a part's tensors: the full precision where it is there, else the one variant that is.

    Raises:
        CheckpointError: nothing to read, only pickles, a file missing that the index names, or more than one choice.
    """
    known = sorted(p for p in folder.iterdir() if p.name.endswith((".safetensors", ".safetensors" + INDEX)))
    choices: dict[str, list[Path]] = {}
    for path in known:
        stem = path.name.removesuffix(INDEX).removesuffix(".safetensors")
        shard = "-of-" in stem
        # STEM[.VARIANT].safetensors, and of shards STEM.safetensors.index[.VARIANT].json beside STEM[.VARIANT]-N-of-M
        if not shard and not path.name.endswith(INDEX):
            choices.setdefault(_variant(stem), []).append(path)
    for path in sorted(folder.glob("*.safetensors.index*.json")):
        name = path.name.partition(".safetensors.index")[2].removesuffix(".json").lstrip(".")
        choices[name] = _shards(path)
    if not choices:
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
        if pickles:
            raise CheckpointError(
                f"{folder / pickles[0]} is a pickle, which can run code when it is read: refused. "
                "ornstein convert --allow-pickle reads what an allow-list of harmless types permits"
            )
        raise CheckpointError(f"{folder} holds no .safetensors file")
    if variant is not None and variant not in choices:
        there = ", ".join(f"'{k}'" if k else "the full precision" for k in choices)
        raise CheckpointError(f"{folder} has no variant '{variant}'; there is {there}")
    chosen = variant if variant is not None else "" if "" in choices else None
    if chosen is None and len(choices) > 1:
        raise CheckpointError(f"{folder} has the variants {', '.join(sorted(choices))}: say which")
    files = choices[next(iter(choices)) if chosen is None else chosen]
    if len(files) > 1 and not all("-of-" in f.name for f in files):
        names = ", ".join(f.name for f in files)
        raise CheckpointError(f"{folder} holds {len(files)} files of weights ({names}); keep the one that is meant")
    return files


def _variant(stem: str) -> str:
    return next((stem[len(s) + 1 :] for s in STEMS if stem.startswith(s + ".")), "")


def _shards(index: Path) -> list[Path]:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as e:
        raise CheckpointError(f"{index} is no index of shards: {e}") from e
    wrong = [n for n in names if Path(n).name != n]
    if wrong:
        raise CheckpointError(f"{index} names a file outside its folder: {wrong[0]}")
    missing = sorted(n for n in names if not (index.parent / n).is_file())
    if missing:
        raise CheckpointError(f"{index} names files that are not there: {', '.join(missing)}")
    return [index.parent / n for n in sorted(names)]


def read_part(folder: Path, variant: str | None = None, kinds: Kinds | None = None) -> dict[str, Tensor]:
    """All tensors of a part."""
    out: dict[str, Tensor] = {}
    for path in find(folder, variant):
        out |= read_file(path, kinds)
    return out


def read_file(path: Path, kinds: Kinds | None = None) -> dict[str, Tensor]:
    """The tensors of one safetensors file: the file's own memory, unless ``kinds`` asks for another type of any.

    Raises:
        CheckpointError: it is torn or no such file.
    """
    try:
        return load_file(path) if kinds is None or not _changes(path, kinds) else _changed(path, kinds)
    except (SafetensorError, OSError) as e:
        raise CheckpointError(f"the weights in {path} cannot be read: {e}; copy or fetch it again") from e


def _changes(path: Path, kinds: Kinds) -> bool:
    with safe_open(path, framework="pt") as f:
        return any(_FLOATS.get(f.get_slice(name).get_dtype(), kinds(name)) != kinds(name) for name in f.keys())  # noqa: SIM118 (it is no mapping)


def _changed(path: Path, kinds: Kinds) -> dict[str, Tensor]:
    """Tensor by tensor; what has been read of a mapped file stays in memory as long as the map, which is made anew at times."""
    out: dict[str, Tensor] = {}
    with safe_open(path, framework="pt") as f:
        names = list(f.keys())
    while names:
        size = 0
        with safe_open(path, framework="pt") as f:
            while names and size < _AT_ONCE:
                value: Tensor = f.get_tensor(name := names.pop())
                size += value.nbytes
                out[name] = value.to(kinds(name) if value.is_floating_point() else value.dtype, copy=True)
                del value
    return out


def read_metadata(path: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as f:
            return dict(f.metadata() or {})
    except (SafetensorError, OSError) as e:
        raise CheckpointError(f"the weights in {path} cannot be read: {e}; copy or fetch it again") from e


def misfits(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """What is missing, unexpected or of another shape; empty where all fit."""
    lists = {
        "missing keys": [k for k in wanted if k not in given],
        "unexpected keys": [k for k in given if k not in wanted],
        "mismatched keys": [
            f"{k} is {list(given[k].shape)}, not {list(v.shape)}"
            for k, v in wanted.items()
            if k in given and given[k].shape != v.shape
        ],
    }
    return "; ".join(
        f"{what}: {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"
        for what, names in lists.items()
        if names
    )
