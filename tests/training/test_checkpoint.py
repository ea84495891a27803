"""Checkpoints: whole or refused by name, and never a pickle."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch

from ornstein.core.errors import CheckpointError
from ornstein.training.checkpoint import latest_checkpoint, load_checkpoint, refuse_pickle, save_checkpoint

PARTS = {"model": {"w": torch.arange(6.0).reshape(2, 3)}, "ema": {"w": torch.ones(2, 3)}}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "checkpoints" / "step-0000001", PARTS, {"recipe": "toy"})


def test_what_is_saved_is_loaded(saved: Path) -> None:
    found = load_checkpoint(saved)
    assert found.meta == {"recipe": "toy"}
    assert torch.equal(found.parts["model"]["w"], PARTS["model"]["w"])
    assert set(load_checkpoint(saved, parts=("ema",)).parts) == {"ema"}
    assert not list(saved.parent.glob("*.partial"))


def test_saving_again_replaces_it_whole(saved: Path) -> None:
    save_checkpoint(saved, {"model": {"w": torch.zeros(1)}}, {})
    assert set(load_checkpoint(saved).parts) == {"model"}


def test_a_flipped_byte_is_found_by_its_hash(saved: Path) -> None:
    file = saved / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"model\.safetensors does not have the hash"):
        load_checkpoint(saved)
    load_checkpoint(saved, parts=("ema",))


def test_a_truncated_file_is_named_with_its_sizes(saved: Path) -> None:
    file = saved / "ema.safetensors"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=rf"ema\.safetensors is truncated: {size - 10} bytes of {size}"):
        load_checkpoint(saved)


def test_a_missing_file_is_named(saved: Path) -> None:
    (saved / "ema.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"is torn: ema\.safetensors is missing"):
        load_checkpoint(saved)


def test_a_newer_format_says_to_upgrade(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(CheckpointError, match=r"format 99; this version reads up to 2\. Install a newer ornstein"):
        load_checkpoint(saved)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": "new"}'])
def test_a_damaged_manifest_is_named(saved: Path, text: str) -> None:
    (saved / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged"):
        load_checkpoint(saved)


def test_a_folder_without_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is no checkpoint: it has no manifest\.json"):
        load_checkpoint(tmp_path)


class Evil:
    """Would leave a trace if it were ever unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("unpickled"),)  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["model.pt", "model.ckpt", "model.bin", "weights"])
@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_pickle_is_refused_unread_whatever_its_name(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / name
    if kind == "torch":
        torch.save({"w": torch.zeros(2)}, file)
    else:
        file.write_bytes(pickle.dumps(Evil()))
    for refuse in (refuse_pickle, load_checkpoint):
        with pytest.raises(CheckpointError, match=r"is a pickle.*refused.*safetensors"):
            refuse(file)
    assert not (tmp_path / "unpickled").exists()


def test_a_folder_that_cannot_be_written_keeps_what_was_there(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"could not write the checkpoint .* Earlier checkpoints are untouched"):
        save_checkpoint(tmp_path / "file" / "step-0000002", PARTS, {})
    load_checkpoint(saved)


def test_the_newest_whole_checkpoint_is_taken(saved: Path, tmp_path: Path) -> None:
    for step in (2, 3):
        folder = save_checkpoint(saved.with_name(f"step-000000{step}"), PARTS, {"step": step})
        (folder / "model.safetensors").write_bytes(b"")
    (saved.parent / "step-0000004.partial").mkdir()
    found, torn = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.path == saved
    assert [line for line in torn if "step-0000003" in line or "step-0000002" in line] == torn
    assert len(torn) == 2
    assert latest_checkpoint(tmp_path / "elsewhere") == (None, [])
