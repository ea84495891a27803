"""Memory options: what each saves, and what it changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import ornstein
from ornstein.cli import main
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.interop.diffusers import Pipeline
from ornstein.interop.diffusers.pipelines.memory import offload, save_memory, weights_in_bytes
from ornstein.interop.files import convert, weights


def drawn(system: Any) -> torch.Tensor:
    return system.sample(2, steps=2, seed=0, guidance=3.0, prompt=["a cat", "low"]).tensor


@pytest.fixture(scope="module")
def half(sd1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose numbers are float16."""
    return convert(sd1, tmp_path_factory.mktemp("half") / "m", dtype="fp16")


@pytest.fixture(scope="module")
def plain(half: Path) -> tuple[torch.Tensor, int]:
    system = ornstein.load(half)
    assert isinstance(system, Pipeline)
    return drawn(system), weights_in_bytes(system)


@pytest.mark.parametrize(
    ("option", "difference", "share"),
    [
        ("attention-slicing", 1e-5, (1.0, 1.0)),
        ("vae-slicing", 1e-5, (1.0, 1.0)),
        ("stored-fp16", 1e-6, (0.5, 0.7)),
        ("stored-bf16", 0.05, (0.5, 0.7)),
        ("stored-fp8", 0.6, (0.25, 0.5)),
        ("bf16", 0.1, (0.5, 0.7)),
        ("vae-bf16", 0.1, (0.8, 1.0)),
        ("offload", 0.0, (1.0, 1.0)),
    ],
)
def test_an_option(option: str, difference: float, share: tuple[float, float], half: Path, plain: Any) -> None:
    """The autoencoder keeps its float32, so that not all of the weights shrink."""
    system = ornstein.load(half)
    assert isinstance(system, Pipeline) and save_memory(system, [option]) is system
    picture, size = plain
    assert float((drawn(system) - picture).abs().max()) <= difference
    assert share[0] <= weights_in_bytes(system) / size <= share[1]


@pytest.mark.parametrize("option", ["bf16", "stored-fp8", "stored-bf16", "vae-bf16"])
def test_read_small_is_what_is_made_small_afterwards(option: str, sd1: Path) -> None:
    small, later = ornstein.load(sd1, memory=[option]), ornstein.load(sd1)
    assert isinstance(small, Pipeline) and isinstance(later, Pipeline)
    save_memory(later, [option])
    kinds = [{n: (p.dtype, p.device) for n, p in s.modules.state_dict().items()} for s in (small, later)]
    assert kinds[0] == kinds[1]
    assert torch.equal(drawn(small), drawn(later))


def test_a_file_is_let_go_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of the type that is wanted are the file's own memory; of another they are read in parts."""
    tensors = {f"{i}": torch.randn(8, 8) for i in range(5)} | {"n": torch.arange(3)}
    save_file(tensors, tmp_path / "a.safetensors")
    monkeypatch.setattr(weights, "_AT_ONCE", 300)
    opened: list[int] = []
    plain = weights.safe_open
    monkeypatch.setattr(weights, "safe_open", lambda *a, **k: opened.append(1) or plain(*a, **k))
    same = weights.read_file(tmp_path / "a.safetensors", lambda name: torch.float32)
    assert len(opened) == 1 and all(torch.equal(same[k], v) for k, v in tensors.items())
    halved = weights.read_file(
        tmp_path / "a.safetensors", lambda name: torch.float32 if name == "0" else torch.bfloat16
    )
    assert len(opened) > 4 and halved.keys() == tensors.keys()
    assert torch.equal(halved["n"], tensors["n"]) and torch.equal(halved["0"], tensors["0"])
    assert all(torch.equal(halved[k], tensors[k].bfloat16()) for k in "1234")


def test_t5_keeps_what_float16_cannot_hold(folder: Callable[[str], Path]) -> None:
    for option, wo in (("fp16", torch.float32), ("bf16", torch.bfloat16), ("stored-fp8", torch.float32)):
        system = ornstein.load(folder("pixart"), memory=[option])
        block = system.prompts.encoder.encoder.encoder.block[0].layer  # type: ignore[attr-defined]
        assert block[1].DenseReluDense.wo.weight.dtype == wo
        assert block[0].SelfAttention.q.weight.dtype != torch.float32
        if option != "fp16":
            assert bool(system.sample(1, steps=1, prompt="a cat", guidance=2.0).tensor.isfinite().all())


def test_tiles_are_decoded_alone(half: Path) -> None:
    system = ornstein.load(half, size=(64, 64))  # type: ignore[call-arg]
    assert isinstance(system, Pipeline)
    state = torch.randn(1, 4, 32, 32)
    whole = system.codec.decode(state)
    save_memory(system, ["vae-tiling"])
    sizes: list[int] = []
    system.codec.model.decoder.register_forward_pre_hook(lambda m, x: sizes.append(x[0].shape[-1]))  # type: ignore[union-attr]
    tiled = system.codec.decode(state)
    assert len(sizes) > 1 and max(sizes) < 32
    assert tiled.shape == whole.shape and float((tiled - whole).abs().mean()) < 0.25


def test_offloaded_parts_are_on_the_device_only_while_they_run() -> None:
    """With a device that is there: what moves is told by the calls of ``to``."""
    moves: list[str] = []

    class Part(nn.Linear):
        def to(self, *args: Any, **words: Any) -> Any:
            moves.append(str(args[0]))
            return super().to(*args, **words)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            moves.append("runs")
            return super().forward(x)

    part = Part(2, 2)
    expected = part(torch.ones(1, 2))
    offload(part, torch.device("cpu", 0))
    moves.clear()
    assert torch.equal(part(torch.ones(1, 2)), expected)
    assert moves == ["cpu:0", "runs", "cpu"]


def test_what_cannot_be_set(half: Path) -> None:
    system = ornstein.load(half)
    assert isinstance(system, Pipeline)
    with pytest.raises(UsageError, match="unknown memory option 'vae-tilling': did you mean 'vae-tiling'"):
        save_memory(system, ["vae-tilling"])
    with pytest.raises(UsageError, match="bf16 and stored-fp8 are both about the type"):
        save_memory(system, ["bf16", "stored-fp8"])
    with pytest.raises(CapabilityError, match="for pipelines of the diffusers ecosystem"):
        save_memory(ornstein.load("fashion-mnist"), ["bf16"])  # type: ignore[arg-type]


def test_the_command(half: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "sample",
        str(half),
        "--prompt",
        "a cat",
        "-n",
        "1",
        "--steps",
        "1",
        "--json",
        "-o",
        str(tmp_path / "a.png"),
    ]
    assert main([*words, "--memory", "vae-tiling,bf16"]) == 0
    assert json.loads(capsys.readouterr().out)["files"]
    assert main([*words, "--memory", "little"]) == 2
    assert "unknown memory option 'little'" in capsys.readouterr().err
