"""What people get wrong, and the message they read. Nothing here may end in a traceback."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.shell import SMALL, Outcome, write_pictures

Call = Callable[..., Outcome]


def fails(done: Outcome, code: int, *parts: str) -> None:
    """The exit code, and one message on standard error that holds every part."""
    assert done.code == code, done.err
    assert done.err.startswith("error: ") and done.err.count("\n") == 1, done.err
    for part in parts:
        assert part in done.err
    assert done.out == ""


def train(ornstein: Call, data: object, out: Path, *words: object) -> Outcome:
    return ornstein("train", "edm", "--data", data, "--size", 8, "--steps", 2, "--out", out, *SMALL, *words)


def test_missing_folder(ornstein: Call, tmp_path: Path) -> None:
    done = train(ornstein, tmp_path / "nowhere", tmp_path / "run")
    fails(done, 1, f"unknown data '{tmp_path}/nowhere'", "no such file or folder")


def test_misspelt_data_set(ornstein: Call, tmp_path: Path) -> None:
    fails(train(ornstein, "digist", tmp_path / "run"), 1, "unknown data 'digist'", "did you mean 'digits'?")


def test_empty_folder(ornstein: Call, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fails(train(ornstein, tmp_path / "empty", tmp_path / "run"), 1, "no pictures in", "empty (it is empty)", ".png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty (0 bytes)"), (b"\x89PNG\r\n\x1a\n garbage", "bad.png: it is")],
    ids=["zero bytes", "corrupt"],
)
def test_a_damaged_picture_is_named_skipped_and_counted(
    ornstein: Call, pictures: Path, tmp_path: Path, content: bytes, reason: str
) -> None:
    (pictures / "cat" / "bad.png").write_bytes(content)
    done = train(ornstein, pictures, tmp_path / "run")
    assert done.code == 0, done.err
    assert done.err.startswith("warning: ")
    assert "1 of 13 files skipped: " in done.err and "cat/bad.png" in done.err and reason in done.err
    fails(
        train(ornstein, pictures, tmp_path / "strict", "--strict"), 1, "cat/bad.png cannot be read", "leave out strict"
    )


def test_fewer_pictures_than_a_batch(ornstein: Call, tmp_path: Path) -> None:
    few = write_pictures(tmp_path / "few", count=2)
    fails(train(ornstein, few, tmp_path / "run"), 1, "has 4 images, fewer than a batch of 8", "batch=4")


def test_wrong_channels(ornstein: Call, squares: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "four.npy", np.zeros((10, 8, 8, 4), np.uint8))
    done = train(ornstein, tmp_path / "four.npy", tmp_path / "run")
    fails(done, 1, "'four' has shape (10, 8, 8, 4)", "1 or 3 channels", "convert to grey or RGB")
    fails(train(ornstein, squares, tmp_path / "run", "--set", "channels=3"), 1, "has 1 channel, asked for 3")


def test_nan_in_data(ornstein: Call, tmp_path: Path) -> None:
    x = np.zeros((10, 1, 8, 8), np.float32)
    x[3, 0, 2, 5] = np.nan
    np.save(tmp_path / "holes.npy", x)
    done = train(ornstein, tmp_path / "holes.npy", tmp_path / "run")
    fails(done, 1, "'holes' has 1 values that are NaN", "image 3", "(0, 2, 5)")


def test_pictures_of_one_colour(ornstein: Call, tmp_path: Path) -> None:
    np.save(tmp_path / "black.npy", np.zeros((20, 1, 8, 8), np.uint8))
    done = train(ornstein, tmp_path / "black.npy", tmp_path / "run")
    fails(done, 1, "all pixels of 'black' have nearly one value", "check the images")


def test_archives_that_do_harm(ornstein: Call, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../evil.png", b"?")
    fails(train(ornstein, tmp_path / "a.zip", tmp_path / "run"), 1, "'../../evil.png', which climbs out of the folder")


def test_a_folder_that_changed_between_runs(ornstein: Call, tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos")
    assert train(ornstein, photos, tmp_path / "run").code == 0
    (photos / "cat" / "0.png").rename(photos / "cat" / "9.png")
    done = train(ornstein, photos, tmp_path / "run", "--steps", 4, "--resume")
    fails(done, 1, "1 file (cat/9.png) added; 1 file (cat/0.png) removed", "or start a new run")


def test_a_size_that_the_network_cannot_have(ornstein: Call, squares: Path, tmp_path: Path) -> None:
    done = train(ornstein, squares, tmp_path / "run", "--set", "patch=3")
    fails(done, 2, "8 x 8 is not a multiple of patch (3)")


def test_unknown_label_says_the_known_ones(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    done = ornstein("sample", finished, "--label", "grey", "-o", tmp_path)
    fails(done, 2, "unknown label 'grey'; the known ones are dark, light")


@pytest.mark.parametrize("command", ["train", "sample", "evaluate"])
def test_steps_below_one(ornstein: Call, finished: Path, squares: Path, command: str) -> None:
    words = {"train": ["edm", "--data", squares], "sample": [finished], "evaluate": [finished, "--against", squares]}
    fails(ornstein(command, *words[command], "--steps", 0), 2, "--steps must be at least 1, got 0")


def test_unknown_sampler_suggests_the_nearest(ornstein: Call, finished: Path, tmp_path: Path) -> None:
    done = ornstein("sample", finished, "--sampler", "huen", "-o", tmp_path)
    fails(done, 2, "unknown sampler 'huen': did you mean 'heun'?")


@pytest.mark.parametrize(
    "words", [["show", "edmm"], ["cite", "edmm"], ["train", "edmm", "--data", "digits"], ["reproduce", "edmm"]]
)
def test_unknown_recipe_suggests_the_nearest(ornstein: Call, words: list[str]) -> None:
    fails(ornstein(*words), 2, "unknown recipe 'edmm': did you mean 'edm'?")


def test_unknown_model_suggests(ornstein: Call) -> None:
    fails(ornstein("sample", "fashion-mnits"), 2, "'fashion-mnits' is neither a bundled model nor an existing path")


def test_a_folder_without_checkpoints(ornstein: Call, pictures: Path) -> None:
    fails(ornstein("sample", pictures), 1, "cannot be loaded: it has no checkpoints")


@pytest.fixture
def checkpoint(finished: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    return shutil.copytree(finished / "checkpoints" / "step-0000003", tmp_path / "checkpoint")


def sample(ornstein: Call, what: Path) -> Outcome:
    return ornstein("sample", what, "-n", 1, "--steps", 1, "-o", what.parent / "out")


def test_checkpoint_truncated(ornstein: Call, checkpoint: Path) -> None:
    file = checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    fails(sample(ornstein, checkpoint), 1, "model.safetensors is truncated")


def test_checkpoint_of_wrong_hash(ornstein: Call, checkpoint: Path) -> None:
    file = checkpoint / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    fails(sample(ornstein, checkpoint), 1, "does not have the hash that its manifest gives")


def test_checkpoint_with_a_part_missing(ornstein: Call, checkpoint: Path) -> None:
    (checkpoint / "ema.safetensors").unlink()
    fails(sample(ornstein, checkpoint), 1, "is torn: ema.safetensors is missing")


def edit(checkpoint: Path, change: Callable[[dict], object]) -> None:
    """Change the manifest, as another program would that keeps no hash of its meta data."""
    file = checkpoint / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    manifest.pop("meta_sha256", None)
    file.write_text(json.dumps(manifest))


def test_checkpoint_of_a_newer_format(ornstein: Call, checkpoint: Path) -> None:
    edit(checkpoint, lambda m: m.update(format=99))
    fails(sample(ornstein, checkpoint), 1, "has checkpoint format 99", "Install a newer ornstein")


def test_checkpoint_of_a_recipe_that_is_not_here(ornstein: Call, checkpoint: Path) -> None:
    edit(checkpoint, lambda m: m["meta"].update(recipe="edn"))
    fails(sample(ornstein, checkpoint), 1, "made by a recipe that is not here", "did you mean 'edm'?")


def test_checkpoint_that_does_not_fit_its_recipe(ornstein: Call, checkpoint: Path) -> None:
    edit(checkpoint, lambda m: m["meta"]["config"].update(blocks=2))
    fails(sample(ornstein, checkpoint), 1, "do not fit recipe 'edm'")


def test_checkpoint_of_another_program(ornstein: Call, checkpoint: Path) -> None:
    edit(checkpoint, lambda m: m.update(meta={"epoch": 3}))
    fails(sample(ornstein, checkpoint), 1, "names no recipe and config")


def test_manifest_that_is_no_json(ornstein: Call, checkpoint: Path) -> None:
    (checkpoint / "manifest.json").write_text("{")
    fails(sample(ornstein, checkpoint), 1, "manifest.json is damaged")


def test_resuming_a_run_of_another_recipe(ornstein: Call, finished: Path, squares: Path) -> None:
    done = ornstein("train", "ddpm", "--data", squares, "--out", finished, "--resume")
    fails(done, 1, "is a run of recipe 'edm', not 'ddpm'; choose another out")


def test_resuming_nothing(ornstein: Call, squares: Path, tmp_path: Path) -> None:
    done = train(ornstein, squares, tmp_path / "run", "--resume")
    fails(done, 1, "holds no run to resume; leave out --resume to start one")


def test_resuming_on_other_data(ornstein: Call, finished: Path, squares: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    with np.load(squares) as stored:
        np.savez(tmp_path / "fewer.npz", x=stored["x"][:30], y=stored["y"][:30], classes=stored["classes"])
    done = ornstein("train", "edm", "--data", tmp_path / "fewer.npz", "--out", run, "--steps", 5, "--resume")
    fails(done, 1, "cannot go on where it was", "images was 40, is 30")


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A folder that cannot be made, whoever asks: below a file."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "below"


def test_out_not_writable(ornstein: Call, finished: Path, squares: Path, blocked: Path) -> None:
    cannot = ("cannot write to", "file", "choose another --out")
    fails(train(ornstein, squares, blocked / "run"), 1, *cannot)
    fails(ornstein("sample", finished, "-n", 1, "-o", blocked), 1, *cannot)
    fails(ornstein("sample", finished, "-n", 1, "-o", blocked / "grid.png"), 1, *cannot)
    fails(ornstein("evaluate", finished, "--against", squares, "-o", blocked / "scores.json"), 1, *cannot)
    fails(ornstein("demo", "--out", blocked), 1, *cannot)


@pytest.mark.parametrize("name", ["model.pt", "model.ckpt", "model.pkl", "weights"])
def test_a_pickle_is_refused_unread(ornstein: Call, tmp_path: Path, name: str) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    done = ornstein("sample", tmp_path / name)
    fails(done, 1, "is a pickle, which can run code when read, and is refused", "safetensors.torch.save_file")
    if name != "weights":  # without an ending it is taken for data, and refused as that
        fails(ornstein("evaluate", tmp_path / name, "--against", "digits"), 1, "is a pickle")
    assert not (tmp_path / "sprung").exists()


def test_a_torch_file_is_refused(ornstein: Call, tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, tmp_path / "model.bin")
    fails(ornstein("sample", tmp_path / "model.bin"), 1, "is a pickle", "Convert it")
