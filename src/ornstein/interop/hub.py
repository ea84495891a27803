"""A pipeline by its name on the hub of the diffusers ecosystem: fetched when asked, found on this disk otherwise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ornstein.core.errors import CheckpointError, UsageError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PARTS = ("model_index.json", "*/*.json", "*/*.txt", "*/*.model")
"""Small files of a folder's parts. Code and pickles are never asked for."""
_VARIANTS = ("*.fp16.*", "*.bf16.*", "*.non_ema.*")


def is_name(what: str | Path) -> bool:
    """Whether this may be OWNER/NAME: it has that form, and nothing on this disk is called so."""
    return _NAME.fullmatch(str(what)) is not None and not Path(what).exists()


def found(name: str) -> Path | None:
    """The folder of a pipeline that was fetched before; None if it was not. Nothing is fetched."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        return None
    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):
        return None
    return folder if (folder / "model_index.json").is_file() else None


def fetch(name: str, variant: str | None = None) -> Path:
    """The folder of a pipeline, fetched into the hub's own cache: configs, tokenizers and safetensors, of one variant.

    Raises:
        UsageError: the library is missing. CheckpointError: the hub cannot be reached, or has no such pipeline.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as e:
        raise UsageError("fetching needs huggingface-hub: pip install 'ornstein[diffusers]'") from e
    weights: dict[str, Any] = {"allow_patterns": [*_PARTS, "*/*.safetensors"], "ignore_patterns": list(_VARIANTS)}
    if variant is not None:
        weights = {"allow_patterns": [*_PARTS, f"*/*.{variant}.safetensors", f"*/*.{variant}-*.safetensors"]}
    try:
        folder = Path(snapshot_download(name, **weights))
    except (OSError, ValueError, HfHubHTTPError) as e:
        raise CheckpointError(f"'{name}' was not fetched from the hub: {e}") from e
    if not (folder / "model_index.json").is_file():
        raise CheckpointError(f"'{name}' on the hub is no pipeline's folder: it has no model_index.json")
    return folder
