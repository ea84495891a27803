"""Extractors whose weights a user brings as a file: read by layout, known by the file's hash."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError, UsageError, unknown
from ornstein.evaluation.features.extractors import Extractor

State = dict[str, Tensor]


def sha256(file: Path) -> str:
    """Of the whole file, read in parts."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def read_weights(
    file: str | Path, wanted: str | None = None, trusted: frozenset[str] = frozenset()
) -> tuple[State, str]:
    """The tensors of a file and its SHA-256.

    ``.safetensors`` is read whatever its hash. A pickle could run code when it is read, so only one whose hash is in
    ``trusted`` is: its content is then known before it is opened.

    Raises:
        UsageError: no such file. CheckpointError: a hash other than ``wanted``, another pickle, a torn file.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise UsageError(f"the extractor's weights are not at {path}; give the path of the file")
    found = sha256(path)
    if wanted is not None and found != wanted.lower():
        raise CheckpointError(
            f"{path} has SHA-256 {found}, not {wanted.lower()}: it is another file, or was damaged; download it again"
        )
    if path.suffix != ".safetensors" and found not in trusted:
        known = " A pickle is read only if it is the published file itself." if trusted else ""
        raise CheckpointError(
            f"{path} is a pickle of unknown content (SHA-256 {found}), which can run code when read, and is refused.{known} "
            "Convert it where you trust it: torch.load(..., weights_only=True), then safetensors.torch.save_file(state, "
            "'weights.safetensors')"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path), found
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as e:
        raise CheckpointError(f"{path} cannot be read: {e}") from e
    return dict(state), found


def fill(network: nn.Module, state: State, file: str | Path, what: str) -> None:
    """Load tensors into a network; counters of batch normalisation, which old files lack, are not asked for.

    Raises:
        CheckpointError: names or shapes are not those of the layout.
    """
    own = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    odd = sorted(set(own) ^ set(given)) or sorted(k for k in own if own[k].shape != given[k].shape)
    if odd:
        raise CheckpointError(f"{file} does not hold {what}: {len(odd)} tensors differ, first '{odd[0]}'")
    network.load_state_dict({k: v.to(own[k].dtype) for k, v in given.items()}, strict=False)
    network.eval().requires_grad_(False)


def extractor_from_file(name: str, file: str | Path, wanted: str | None = None) -> Extractor:
    """``inception``, ``dinov2``, ``clip`` or ``efficientnet`` with a file's weights; ``wanted``: its SHA-256."""
    from ornstein.evaluation.features.clip import CLIPFeatures
    from ornstein.evaluation.features.dinov2 import DINOv2Features
    from ornstein.evaluation.features.efficientnet import EfficientNetFeatures
    from ornstein.evaluation.features.inception import InceptionFeatures

    makers: dict[str, Callable[[str | Path, str | None], Extractor]] = {
        "inception": InceptionFeatures, "dinov2": DINOv2Features, "clip": CLIPFeatures, "efficientnet": EfficientNetFeatures
    }  # fmt: skip
    if name not in makers:
        raise unknown("extractor", name, makers)
    return makers[name](file, wanted)
