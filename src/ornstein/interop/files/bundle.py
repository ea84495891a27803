"""A pipeline in memory: its small files as text, the tensors of each part under diffusers' names."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.interop.files.pickles import read_pickle
from ornstein.interop.files.vae_names import modern
from ornstein.interop.files.weights import read_file, read_part
from ornstein.training.checkpoint import PICKLES

INDEX = "model_index.json"
BASE64 = "base64:"
LEFT_OVER = "left_over.safetensors"
"""Tensors of a single file that no part of a folder has a place for (averages, the last layer of an encoder): kept beside
the parts, so that the way back gives the whole file."""
LARGEST_TEXT = 64_000_000
WEIGHTS = (".safetensors", ".safetensors.index.json", *PICKLES, ".msgpack", ".onnx", ".h5")


@dataclass
class Bundle:
    """What a folder holds. ``files`` is by path relative to the folder, ``tensors`` by part."""

    files: dict[str, str]
    tensors: dict[str, dict[str, Tensor]]
    left_over: dict[str, Tensor] = field(default_factory=dict)

    def json(self, name: str) -> dict[str, Any]:
        """One of the files, read.

        Raises:
            CheckpointError: it is missing or no JSON.
        """
        if name not in self.files:
            raise CheckpointError(f"the pipeline has no {name}")
        try:
            return dict(json.loads(self.files[name]))
        except ValueError as e:
            raise CheckpointError(f"{name} is no JSON: {e}") from e

    @property
    def pipeline(self) -> str:
        """The name of the pipeline's class."""
        return str(self.json(INDEX).get("_class_name"))


def read_folder(path: Path, variant: str | None = None, pickles: bool = False, without: Collection[str] = ()) -> Bundle:
    """A pipeline's folder.

    ``variant`` takes those tensors where there is a choice; ``pickles`` reads ``.bin`` by the allow-list; weights of the parts
    in ``without`` are not read.
    """
    if not (path / INDEX).is_file():
        raise CheckpointError(f"{path} is no pipeline's folder: it has no {INDEX}")
    files: dict[str, str] = {}
    tensors: dict[str, dict[str, Tensor]] = {}
    listed = {k for k, v in _index(path).items() if isinstance(v, list) and v[:1] != [None]}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        top = name.split("/")[0]
        if not file.is_file() or name.startswith(".") or ("/" in name and top not in listed):
            continue
        if "/" not in name and name != INDEX:
            continue
        if not file.name.endswith(WEIGHTS) and ".safetensors.index" not in file.name:
            files[name] = _text(file)
    for part in sorted(listed - set(without)):
        folder = path / part
        if not folder.is_dir() or not any(f.name.endswith(WEIGHTS) for f in folder.iterdir()):
            continue
        found = sorted(f for f in folder.iterdir() if f.suffix in PICKLES)
        safe = any(f.suffix == ".safetensors" for f in folder.iterdir())
        if pickles and found and not safe:
            tensors[part] = {k: v for f in found for k, v in read_pickle(f).items()}
        else:
            tensors[part] = read_part(folder, variant)
        if part.startswith("vae"):
            tensors[part] = modern(tensors[part])
    left = read_file(path / LEFT_OVER) if (path / LEFT_OVER).is_file() else {}
    return Bundle(files, tensors, left)


def _index(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((path / INDEX).read_text(encoding="utf-8")))
    except ValueError as e:
        raise CheckpointError(f"{path / INDEX} is no JSON: {e}") from e


def _text(file: Path) -> str:
    if file.stat().st_size > LARGEST_TEXT:
        raise CheckpointError(f"{file} is {file.stat().st_size} bytes large: not one of a pipeline's small files")
    data = file.read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return BASE64 + base64.b64encode(data).decode()


def write_small(bundle: Bundle, path: Path) -> None:
    """The small files alone."""
    for name, text in bundle.files.items():
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or "\\" in name:
            raise CheckpointError(f"the checkpoint names a file outside its folder: {name}")
        (path / place).parent.mkdir(parents=True, exist_ok=True)
        try:
            data = base64.b64decode(text[len(BASE64) :]) if text.startswith(BASE64) else text.encode("utf-8")
        except binascii.Error as e:
            raise CheckpointError(f"the checkpoint's {name} is damaged: {e}") from e
        (path / place).write_bytes(data)


def write_folder(bundle: Bundle, path: Path, variant: str | None = None) -> Path:
    """Write the folder as diffusers does; ``variant`` goes into the names of the weights' files.

    Raises:
        UsageError: the folder exists and is not empty.
    """
    if path.exists() and (path.is_file() or any(path.iterdir())):
        raise UsageError(f"{path} exists already; choose another place")
    path.mkdir(parents=True, exist_ok=True)
    write_small(bundle, path)
    middle = f".{variant}" if variant else ""
    for part, tensors in bundle.tensors.items():
        (path / part).mkdir(exist_ok=True)
        stem = "model" if is_encoder(part) else "diffusion_pytorch_model"
        save_file(whole(tensors), path / part / f"{stem}{middle}.safetensors", {"format": "pt"})
    if bundle.left_over:
        save_file(whole(bundle.left_over), path / LEFT_OVER, {"format": "pt"})
    return path


def is_encoder(part: str) -> bool:
    """Whether a part is transformers' (their files are called ``model``)."""
    return part.startswith(("text_encoder", "image_encoder", "safety_checker", "depth_estimator"))


def whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as a file takes them: contiguous, none a view of another's memory."""
    seen: set[int] = set()
    out = {}
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        place = value.untyped_storage().data_ptr()
        out[name] = value.clone() if place in seen else value
        seen.add(place)
    return out


def cast(bundle: Bundle, dtype: Any) -> Bundle:
    """All floating tensors in another type."""
    return Bundle(
        dict(bundle.files),
        {p: {k: v.to(dtype) if v.is_floating_point() else v for k, v in t.items()} for p, t in bundle.tensors.items()},
        {k: v.to(dtype) if v.is_floating_point() else v for k, v in bundle.left_over.items()},
    )
