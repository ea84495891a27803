"""Pickles: refused unless asked for, and then read by an unpickler that makes tensors and containers only."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import ornstein
from ornstein.cli import main
from ornstein.core.errors import CheckpointError
from ornstein.interop.files import convert
from ornstein.interop.files.pickles import read_pickle


class Attack:
    """On reading, runs a command."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def test_tensors_come_out_as_torch_wrote_them(tmp_path: Path) -> None:
    x = torch.arange(24.0).reshape(4, 6)
    given = OrderedDict(
        a=x, b=x.t()[1:3], c=x.half(), d=torch.tensor([True]), e=torch.nn.Parameter(x + 1), f=torch.empty(0, 3),
        g=x.bfloat16(), h=torch.arange(3),
    )  # fmt: skip
    torch.save({"state_dict": given, "global_step": 3, "lr": [1e-3]}, tmp_path / "x.ckpt")
    found = read_pickle(tmp_path / "x.ckpt")
    assert found.keys() == given.keys()
    assert all(torch.equal(found[k], given[k]) and found[k].dtype == given[k].dtype for k in given)


def test_an_attack_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    torch.save({"state_dict": {"a": torch.zeros(2)}, "more": Attack(f"touch {mark}")}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"asks for posix.system, which no file of weights needs"):
        read_pickle(tmp_path / "x.ckpt")
    assert not mark.exists()
    torch.load(tmp_path / "x.ckpt", weights_only=False)  # so the file is what it is meant to be
    assert mark.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.serialization", "load"),
        ("subprocess", "Popen"),
        ("ornstein.interop.files.pickles", "zipfile.ZipFile"),
    ],
)
def test_other_names_are_refused(module: str, name: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"c{module}\n{name}\n.".encode())
    with pytest.raises(CheckpointError, match="which no file of weights needs"):
        read_pickle(path)


def written(folder: Path, program: bytes, numbers: bytes = b"") -> Path:
    """A file in torch's format with this program."""
    path = folder / "x.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", program)
        archive.writestr("x/data/0", numbers)
    return path


def test_tensors_stay_within_their_storage(tmp_path: Path) -> None:
    """A size or offset beyond the storage would show other memory."""

    class Storage:
        pass

    class Reach:
        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (Storage(), 0, (1000,), (1,), False, OrderedDict())

    class Writer(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", 1000) if isinstance(obj, Storage) else None

    data = io.BytesIO()
    Writer(data, protocol=2).dump({"a": Reach()})
    with pytest.raises(CheckpointError, match="reaches beyond its storage"):
        read_pickle(written(tmp_path, data.getvalue(), b"\0" * 16))


def test_objects_of_training_libraries_are_dropped(tmp_path: Path) -> None:
    """Stable Diffusion's own first files carry callbacks of Lightning."""
    state = b"}X\x01\x00\x00\x00aK\x01s"
    program = (
        b"}X\x04\x00\x00\x00bestcpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n)R" + state + b"bs."
    )
    with pytest.raises(CheckpointError, match="holds no table of named tensors"):  # read to its end, and nothing in it
        read_pickle(written(tmp_path, program))


def test_other_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"since PyTorch 1.6; older files are not read"):
        read_pickle(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"}.")
    with pytest.raises(CheckpointError, match=r"compressed, which torch\.save never does"):
        read_pickle(path)
    with pytest.raises(CheckpointError, match="is refused"):
        read_pickle(written(tmp_path, b"\x80\x02]"))


def test_only_when_asked(sd1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    single = convert(sd1, tmp_path / "one.safetensors")
    torch.save({"state_dict": load_file(single)}, tmp_path / "one.ckpt")
    with pytest.raises(CheckpointError, match="is a pickle"):
        ornstein.load(tmp_path / "one.ckpt")
    words = ["convert", str(tmp_path / "one.ckpt"), str(tmp_path / "folder"), "--tokenizer", str(sd1 / "tokenizer")]
    assert main(words) == 1
    assert "is a pickle" in capsys.readouterr().err and not (tmp_path / "folder").exists()
    assert main([*words, "--allow-pickle"]) == 0
    a, b = (
        load_file(next((sd1 / "unet").glob("*.safetensors"))),
        load_file(next((tmp_path / "folder/unet").glob("*.s*"))),
    )
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    # A folder of pickles.
    shutil.copytree(sd1, tmp_path / "bins")
    for file in (tmp_path / "bins").glob("*/*.safetensors"):
        torch.save(load_file(file), file.with_suffix(".bin"))
        file.unlink()
    with pytest.raises(CheckpointError, match=r"is a pickle.*--allow-pickle"):
        ornstein.load(tmp_path / "bins")
    back = convert(tmp_path / "bins", tmp_path / "safe", pickles=True)
    assert len(list(back.glob("*/*.safetensors"))) == 3 and not list(back.rglob("*.bin"))
    assert torch.isfinite(ornstein.load(back).sample(1, steps=1, prompt="cat").tensor).all()
