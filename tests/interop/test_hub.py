"""Names on the hub: fetched only when asked, and then no code and no pickles."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

import ornstein
from ornstein.cli import main
from ornstein.core.errors import CheckpointError, UsageError
from ornstein.interop.diffusers import Pipeline


@pytest.fixture
def hub(sd1: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A hub with one pipeline; what it was asked for."""
    asked: list[dict[str, Any]] = []

    def snapshot_download(name: str, **options: Any) -> str:
        asked.append({"name": name, **options})
        if options.get("local_files_only"):
            raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")
        if name != "someone/stable-diffusion":
            raise OSError("no such repository")
        return str(sd1)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def test_a_name_is_fetched_when_asked(hub: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a bundled model nor an existing path"):
        ornstein.load("someone/stable-diffusion")
    assert [call.get("local_files_only") for call in hub] == [True]  # nothing was fetched
    assert isinstance(ornstein.load("someone/stable-diffusion", fetch=True), Pipeline)

    def taken(name: str) -> bool:
        call = hub[-1]
        return any(fnmatch(name, p) for p in call["allow_patterns"]) and not any(
            fnmatch(name, p) for p in call.get("ignore_patterns", ())
        )

    wanted = (
        "model_index.json",
        "unet/config.json",
        "tokenizer/merges.txt",
        "unet/diffusion_pytorch_model.safetensors",
    )
    half = "unet/diffusion_pytorch_model.fp16.safetensors"
    others = (
        "pipeline.py",
        "unet/net.py",
        "unet/model.bin",
        "v1-5-pruned.ckpt",
        "v1-5-pruned.safetensors",
        "README.md",
    )
    assert all(map(taken, wanted)) and not any(map(taken, (*others, half)))
    with pytest.raises(CheckpointError):  # this folder has no such variant
        ornstein.load("someone/stable-diffusion", fetch=True, variant="fp16")
    assert taken(half) and not taken(wanted[-1])
    words = ["sample", "someone/stable-diffusion", "--fetch", "--prompt", "a", "-n", "1", "--steps", "1"]
    assert main([*words, "-o", str(tmp_path / "a.png")]) == 0


def test_what_was_fetched_before_is_found(sd1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, local_files_only: str(sd1))
    assert isinstance(ornstein.load("someone/else"), Pipeline)


def test_what_cannot_be_fetched(hub: list[dict[str, Any]], sd1: Path, tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(CheckpointError, match="'someone/else' was not fetched from the hub: no such repository"):
        ornstein.load("someone/else", fetch=True)
    with pytest.raises(UsageError, match="leave fetch out"):
        ornstein.load(sd1, fetch=True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **options: str(tmp_path))
    with pytest.raises(CheckpointError, match=r"is no pipeline's folder: it has no model_index\.json"):
        ornstein.load("someone/weights", fetch=True)
