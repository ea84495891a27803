"""Training on a checkpoint: what is trained changes and nothing else does, and the file that comes out makes it of the base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import ornstein
from ornstein.cli import main
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, CheckpointError, DataError, UsageError
from ornstein.core.rng import Stream as Noise
from ornstein.data import Images
from ornstein.interop.adapters import with_lora
from ornstein.interop.adapters.control import with_control
from ornstein.interop.adapters.embedding import with_embedding
from ornstein.interop.diffusers import Pipeline
from ornstein.interop.files import read
from ornstein.interop.tuning import (
    Settings,
    train_controlnet,
    train_dreambooth,
    train_lora,
    train_textual_inversion,
)
from ornstein.interop.tuning.controlnet import edges
from ornstein.interop.tuning.dreambooth import WithPrior
from ornstein.interop.tuning.pictures import Drawn, Stream, encoded, told
from ornstein.interop.tuning.settings import denoiser_of, times_of
from ornstein.objectives.denoising import Denoising

FEW = Settings(steps=2, batch=2, lr=1e-2)


@pytest.fixture(scope="module")
def system(sd1: Path) -> Pipeline:
    loaded = ornstein.load(sd1)
    assert isinstance(loaded, Pipeline)
    return loaded


def photos(n: int = 4) -> Images:
    x = np.full((n, 3, 16, 16), 30, np.uint8)
    x[:, 0, :, 8:] = 220
    return Images(x, name="photos")


def weights(system: Any) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in system.modules.state_dict().items()}


def answer(system: Any, prompt: str = "low cat", control: Tensor | None = None) -> Tensor:
    given = {"prompt": prompt} if control is None else {"prompt": prompt, "control": control}
    cond = system.conditions([0], given)
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return system.denoiser(x, torch.tensor(0.5, dtype=torch.float64), cond).mean


def loss_of(system: Pipeline, prompt: str = "low cat") -> float:
    """The regression's loss on the photos, at fixed times and noise."""
    objective = Denoising(denoiser_of(system), Drawn(system.codec), times_of(system))
    x = torch.from_numpy(photos(16).x).float() / 127.5 - 1
    batch = Batch(encoded(x, system.codec), told(system, [prompt] * 16))
    with torch.no_grad():
        return float(objective(batch, Noise(1)).value)


def test_lora_learns_and_its_file_is_what_was_learned(system: Pipeline, tmp_path: Path) -> None:
    before = weights(system)
    done = train_lora(system, photos(), tmp_path / "run", prompt="low cat", rank=4, settings=replace(FEW, steps=20))
    assert loss_of(done.system) < 0.9 * loss_of(system)
    after = weights(system)
    assert all(torch.equal(before[k], after[k]) for k in before)
    torch.testing.assert_close(answer(with_lora(system, done.path)), answer(done.system), atol=1e-4, rtol=1e-4)
    assert {"config.json", "checkpoints"} & {p.name for p in (tmp_path / "run").iterdir()}


@pytest.mark.parametrize("dialect", ["kohya", "peft"])
def test_dialects_are_read_by_others(dialect: Any, system: Pipeline, sd1: Path, tmp_path: Path) -> None:
    done = train_lora(system, photos(), tmp_path / "run", prompt="a", rank=2, dialect=dialect, settings=FEW)
    expected = answer(done.system)
    torch.testing.assert_close(answer(with_lora(system, done.path)), expected, atol=1e-4, rtol=1e-4)
    unet = diffusers.UNet2DConditionModel.from_pretrained(sd1 / "unet")
    if dialect == "peft":
        import peft

        unet = peft.PeftModel.from_pretrained(unet, done.path).base_model.model
    else:
        pipe = diffusers.StableDiffusionPipeline.from_pretrained(sd1, safety_checker=None)
        pipe.load_lora_weights(done.path.parent, weight_name=done.path.name)
        unet = pipe.unet
    network = done.system.denoiser.network  # type: ignore[union-attr]
    x, text = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 64)
    with torch.no_grad():
        theirs = unet(x, torch.tensor([300]), encoder_hidden_states=text).sample
        ours = network(x, torch.tensor([300.0]), {"text": text})
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_run_goes_on_where_it_was(system: Pipeline, tmp_path: Path) -> None:
    for steps in (2, 4):
        train_lora(system, photos(), tmp_path / "parts", prompt="a", settings=replace(FEW, steps=steps))
    train_lora(system, photos(), tmp_path / "once", prompt="a", settings=replace(FEW, steps=4))
    a, b = load_file(tmp_path / "parts" / "adapter.safetensors"), load_file(tmp_path / "once" / "adapter.safetensors")
    assert all(torch.equal(a[k], b[k]) for k in a)
    with pytest.raises(CheckpointError, match="was started with rank=4 and cannot go on with 2"):
        train_lora(system, photos(), tmp_path / "once", prompt="a", rank=2, settings=replace(FEW, steps=5))


def test_the_prior_counts_as_it_should(system: Pipeline) -> None:
    x = torch.randn(4, 8, 8, 8).abs()
    batch = Batch(x, told(system, ["low cat"] * 2 + ["cat"] * 2))
    plain = Denoising(denoiser_of(system), Drawn(system.codec), times_of(system))
    with torch.no_grad():
        _, _, each = plain.draws(batch, Noise(3))
        loss = WithPrior(plain, 2, 0.25)(batch, Noise(3))
    assert float(loss.value) == pytest.approx(float(each[:2].mean() + 0.25 * each[2:].mean()), rel=1e-5)
    assert loss.logs["loss_prior"] == pytest.approx(float(each[2:].mean()), rel=1e-5)


def test_dreambooth(system: Pipeline, sd1: Path, tmp_path: Path) -> None:
    before = weights(system)
    options: dict[str, Any] = {"prompt": "low cat", "class_prompt": "cat", "class_images": 2, "class_steps": 1}
    done = train_dreambooth(system, photos(), tmp_path / "lora", **options, settings=FEW)
    torch.testing.assert_close(answer(with_lora(system, done.path)), answer(done.system), atol=1e-4, rtol=1e-4)
    logged = (tmp_path / "lora" / "metrics.jsonl").read_text()
    assert "loss_prior" in logged
    full = train_dreambooth(
        system, photos(), tmp_path / "whole", **options, rank=None, source=read(sd1), settings=replace(FEW, lr=1e-4)
    )
    after = weights(system)
    assert all(torch.equal(before[k], after[k]) for k in before)
    again = ornstein.load(full.path)
    assert torch.equal(answer(again), answer(full.system)) and not torch.equal(answer(again), answer(system))
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(full.path, safety_checker=None)
    assert torch.equal(
        pipe.vae.state_dict()["encoder.conv_in.weight"], read(sd1).tensors["vae"]["encoder.conv_in.weight"]
    )
    with pytest.raises(UsageError, match="give source"):
        train_dreambooth(system, photos(), tmp_path / "no", prompt="a", rank=None)


def test_textual_inversion_learns_a_word_and_nothing_else(system: Pipeline, tmp_path: Path) -> None:
    before = weights(system)
    done = train_textual_inversion(
        system, photos(), tmp_path / "run", token="<thing>", start="low", vectors=2, templates=["a {}", "{}"],
        settings=replace(FEW, steps=3, lr=0.1),
    )  # fmt: skip
    vectors = load_file(done.path)["<thing>"]
    table = before["prompts.prompts.encoder.embeddings.token_embedding.weight"]
    first = table[system.prompts.prompts.tokenizer("low", add_special_tokens=False).input_ids[0]]  # type: ignore[union-attr]
    assert vectors.shape == (2, 64) and float((vectors - first).abs().max()) > 0.01
    made = weights(done.system)
    for name, value in before.items():
        if "token_embedding" in name:
            assert torch.equal(made[name][: len(value)], value) and torch.equal(made[name][len(value) :], vectors)
        else:
            assert torch.equal(made[name], value)
    other = with_embedding(system, done.path)
    assert torch.equal(answer(other, "a <thing>"), answer(done.system, "a <thing>"))
    assert not torch.equal(answer(other, "a <thing>"), answer(other, "a low"))
    with pytest.raises(UsageError, match="'two words' is 8 tokens"):
        train_textual_inversion(system, photos(), tmp_path / "x", token="<x>", start="two words", settings=FEW)
    with pytest.raises(UsageError, match="known already"):
        train_textual_inversion(system, photos(), tmp_path / "x", token="low</w>", start="low", settings=FEW)


def test_controlnet(system: Pipeline, tmp_path: Path) -> None:
    before = weights(system)
    done = train_controlnet(system, photos(), tmp_path / "run", prompt="low cat", settings=replace(FEW, lr=1e-3))
    assert all(torch.equal(v, before[k]) for k, v in weights(system).items())
    picture = edges(torch.from_numpy(photos(1).x).float() / 127.5 - 1)
    drawn = answer(done.system, control=picture)
    assert not torch.equal(drawn, answer(system))  # the zero convolutions have moved
    torch.testing.assert_close(answer(with_control(system, done.path), control=picture), drawn, atol=1e-5, rtol=1e-5)
    diffusers.ControlNetModel.from_pretrained(done.path)
    with pytest.raises(DataError, match="2 pictures to follow were given for 4 pictures"):
        train_controlnet(system, photos(), tmp_path / "x", conditions=photos(2), settings=FEW)


def test_edges_are_where_brightness_changes() -> None:
    found = edges(torch.from_numpy(photos(1).x).float() / 127.5 - 1)
    assert found.shape == (1, 3, 16, 16)
    assert torch.equal(found[0, 0].any(0).nonzero().flatten(), torch.tensor([7, 8]))


def test_every_picture_is_shown_once_an_epoch() -> None:
    stream = Stream([(torch.arange(6.0)[:, None], {}), (torch.arange(10.0, 13.0)[:, None], {})], [2, 1], seed=5)
    it = iter(stream)
    shown = torch.stack([next(it).x[:, 0] for _ in range(3)])
    assert sorted(shown[:, :2].flatten().tolist()) == [0, 1, 2, 3, 4, 5]
    assert sorted(shown[:, 2].tolist()) == [10, 11, 12]
    state = stream.state()
    following = next(it).x
    other = Stream(stream.groups, stream.sizes, seed=5)
    other.restore(state)
    assert torch.equal(next(iter(other)).x, following)


def test_what_cannot_be_trained(system: Pipeline, folder: Any, tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="text-to-image pipelines"):
        train_lora(ornstein.load("fashion-mnist"), photos(), tmp_path / "x", prompt="a")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="3 prompts were given for 4 pictures"):
        train_lora(system, photos(), tmp_path / "x", prompt=["a", "b", "c"], settings=FEW)
    with pytest.raises(DataError, match=r"pictures of \(3, 8, 8\)|this system draws"):
        train_lora(replace(system, data_shape=(3, 16, 8)), photos(), tmp_path / "x", prompt="a", settings=FEW)
    with pytest.raises(UsageError, match="rank of a low-rank change must be at least 1"):
        train_lora(system, photos(), tmp_path / "x", prompt="a", rank=0, settings=FEW)


def test_the_command(sd1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "photos"
    data.mkdir()
    for i in range(2):
        Image.fromarray(photos(1).x[0].transpose(1, 2, 0)).save(data / f"{i}.png")
    common = ["--from", str(sd1), "--data", str(data), "--steps", "1", "--set", "batch=2", "--json"]
    out = tmp_path / "run"
    assert main(["train", "lora", *common, "--prompt", "low cat", "--lora", "2", "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(out / "adapter.safetensors")
    words = [
        "train",
        "textual-inversion",
        *common,
        "--token",
        "<t>",
        "--start",
        "low",
        "--style",
        "--out",
        str(tmp_path / "t"),
    ]
    assert main(words) == 0
    sample = ["sample", str(sd1), "-n", "1", "--steps", "1", "--prompt", "a <t>", "-o", str(tmp_path / "a.png")]
    assert main([*sample, "--embedding", str(tmp_path / "t" / "learned_embeds.safetensors")]) == 0
    capsys.readouterr()
    for wrong, text in (
        (["train", "lora", "--data", str(data), "--prompt", "a"], "trains on a checkpoint: say which"),
        (["train", "lora", *common], "'lora' needs --prompt"),
        (["train", "controlnet", *common, "--token", "x"], "'controlnet' takes no --token"),
        (["train", "ddpm", "--data", str(data), "--prompt", "a"], "--prompt is for training on a checkpoint"),
        (["train", "lora", *common[:-3], "--set", "width=3", "--prompt", "a"], "--set takes batch, lr, steps"),
        (["train", "lora", "--from", "fashion-mnist", *common[2:], "--prompt", "a"], "no checkpoint of the diffusers"),
    ):
        assert main(wrong) == 2
        assert text in capsys.readouterr().err
