"""Pipelines' folders: the same picture as diffusers' own pipeline draws from the same noise."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

import ornstein
from interop.checkpoints import SD, stable_diffusion, unconditional
from ornstein.core.errors import CapabilityError, CheckpointError, UsageError
from ornstein.core.rng import Rng
from ornstein.interop.diffusers.folder import read_index
from ornstein.interop.diffusers.prompts import PromptWarning

LEVEL = 2 / 255


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """diffusers and transformers warn of much that is not ours."""
    diffusers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="diffusers|transformers|torch")
        yield


def first(system: Any, n: int) -> torch.Tensor:
    """The noise with which our samples of seeds 0 .. n - 1 begin, of unit deviation."""
    return Rng(range(n)).normal((n, *system.shape))


@pytest.mark.parametrize("clip", [True, False])
def test_unconditional_ddim_draws_the_same_picture(clip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = unconditional(tmp_path / "m", diffusers.DDIMScheduler(clip_sample=clip))
    system = ornstein.load(path)
    ours = system.sample(2, steps=10, seed=0).tensor
    pipe = diffusers.DDIMPipeline.from_pretrained(path)
    pipe.set_progress_bar_config(disable=True)
    module = __import__(type(pipe).__module__, fromlist=["x"])
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: first(system, 2))
    theirs = pipe(batch_size=2, num_inference_steps=10, output_type="np").images
    picture = (ours.clamp(-1, 1) / 2 + 0.5).permute(0, 2, 3, 1).numpy()
    assert np.abs(picture - theirs).max() < LEVEL
    assert float(ours.std()) > 0.1  # no blank picture


SCHEDULERS: dict[str, Any] = {
    "DDIM": diffusers.DDIMScheduler(**SD, clip_sample=False, set_alpha_to_one=False),
    "Euler": diffusers.EulerDiscreteScheduler(**SD),
    "Euler Karras": diffusers.EulerDiscreteScheduler(**SD, use_karras_sigmas=True),
    "DPM++ 2M Karras": diffusers.DPMSolverMultistepScheduler(**SD, use_karras_sigmas=True),
    "DDIM, v": diffusers.DDIMScheduler(**SD, clip_sample=False, prediction_type="v_prediction"),
}


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("negative", ["", "low"])
def test_stable_diffusion_draws_the_same_picture(name: str, negative: str, tmp_path: Path) -> None:
    path = stable_diffusion(tmp_path / "m", SCHEDULERS[name])
    system = ornstein.load(path)
    words = {"prompt": ["a lower cat", "low"], "negative": negative}
    ours = system.sample(2, steps=10, seed=0, guidance=5.0, **words).tensor
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(path, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        prompt=words["prompt"],
        negative_prompt=[negative] * 2,
        num_inference_steps=10,
        guidance_scale=5.0,
        latents=first(system, 2),
        output_type="pt",
    ).images
    assert float((ours / 2 + 0.5 - theirs).abs().max()) < LEVEL
    assert float(theirs.std()) > 0.01


def test_clip_skip_and_rescale(tmp_path: Path) -> None:
    path = stable_diffusion(tmp_path / "m", SCHEDULERS["DDIM"])
    system = ornstein.load(path)
    system.guidance_rescale = 0.7
    ours = system.sample(2, steps=5, seed=0, guidance=5.0, prompt="a cat", clip_skip=1).tensor
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(path, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    # diffusers 0.42.1 looks for a place that transformers 5 has moved.
    vars(pipe.text_encoder)["text_model"] = pipe.text_encoder
    theirs = pipe(
        prompt=["a cat"] * 2,
        num_inference_steps=5,
        guidance_scale=5.0,
        guidance_rescale=0.7,
        clip_skip=1,
        latents=first(system, 2),
        output_type="pt",
    ).images
    assert float((ours / 2 + 0.5 - theirs).abs().max()) < LEVEL


def test_our_own_samplers_run_on_it(tmp_path: Path) -> None:
    system = ornstein.load(stable_diffusion(tmp_path / "m", SCHEDULERS["DDIM"]))
    for sampler in ("dpmpp_2m", "edm_heun", "ancestral"):
        made = system.sample(1, steps=4, sampler=sampler, prompt="cat")
        assert bool(torch.isfinite(made.tensor).all()) and made.provenance["sampler"] == sampler


def test_batches_change_nothing(tmp_path: Path) -> None:
    system = ornstein.load(stable_diffusion(tmp_path / "m", SCHEDULERS["Euler"]))
    whole = system.sample(3, steps=4, prompt=["a", "b", "c"]).tensor
    parts = system.sample(3, steps=4, prompt=["a", "b", "c"], batch=1).tensor
    assert float((whole - parts).abs().max()) < 1e-4


def test_a_long_prompt_says_what_was_cut(tmp_path: Path) -> None:
    system = ornstein.load(stable_diffusion(tmp_path / "m", SCHEDULERS["DDIM"]))
    with pytest.warns(PromptWarning, match=r"19 tokens long and the encoder reads 16; cut: 'g h i'"):
        system.sample(1, steps=2, prompt="a b c d e f g h i j k d e f g h i")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = stable_diffusion(tmp_path / "m", SCHEDULERS["DDIM"])
    system = ornstein.load(path)
    with pytest.raises(UsageError, match="give prompt"):
        system.sample(1, steps=2)
    with pytest.raises(UsageError, match="unknown condition 'prmpt': did you mean 'prompt'"):
        system.sample(1, steps=2, prmpt="cat")
    with pytest.raises(UsageError, match="3 prompts were given for 2 samples"):
        system.sample(2, steps=2, prompt=["a", "b", "c"])
    index = path / "model_index.json"
    entries = json.loads(index.read_text())
    index.write_text(json.dumps({**entries, "_class_name": "CatPipeline"}))
    with pytest.raises(CapabilityError, match="unknown pipeline class 'CatPipeline'"):
        ornstein.load(path)
    index.write_text(json.dumps({**entries, "unet": ["my_code", "MyNet"]}))
    with pytest.raises(CapabilityError, match=r"the unet is a MyNet.*never run"):
        ornstein.load(path)
    index.write_text(json.dumps(entries))
    weights = path / "unet" / "diffusion_pytorch_model.safetensors"
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    gone = next(k for k in tensors if k.endswith("conv_in.weight"))
    save_file({k: v for k, v in tensors.items() if k != gone}, weights)
    with pytest.raises(CheckpointError, match=r"do not fit UNet2DConditionModel.*conv_in\.weight"):
        ornstein.load(path)
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(CheckpointError, match=r"is a pickle.*refused"):
        ornstein.load(path)
    with pytest.raises(CheckpointError, match="looks like a scheduler's own folder"):
        read_index(path / "scheduler")
    with pytest.raises(CheckpointError, match="looks like one part of a pipeline"):
        read_index(path / "unet")
