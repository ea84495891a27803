"""Pipelines' folders: unconditional ones draw as diffusers does, and what is wrong with a folder or a call is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

import ornstein
from interop.checkpoints import unconditional
from interop.same import hole, of_noise, picture, system_at
from ornstein.core.errors import CapabilityError, CheckpointError, DataError, UsageError
from ornstein.interop.diffusers import load
from ornstein.interop.diffusers.pipelines.folder import read_index
from ornstein.interop.diffusers.pipelines.swap import _FLOW, NAMED
from ornstein.interop.diffusers.schedulers.config import DEFAULTS

Folder = Callable[[str], Path]


@pytest.mark.parametrize(
    ("kind", "scheduler", "steps"),
    [
        ("DDIMPipeline", diffusers.DDIMScheduler(clip_sample=True), 6),  # more: rounding, see `same.itself`
        ("DDIMPipeline", diffusers.DDIMScheduler(clip_sample=False), 20),
        ("DDPMPipeline", diffusers.DDPMScheduler(), 20),
    ],
)
def test_unconditional_pipelines_draw_the_same_picture(kind: str, scheduler: Any, steps: int, tmp_path: Path) -> None:
    assert of_noise(unconditional(tmp_path / "m", scheduler), kind, steps) < 0.02 / 255


def test_our_own_samplers_run_on_it(folder: Folder) -> None:
    system = system_at(folder("stable diffusion"))
    for sampler in ("dpmpp_2m", "midpoint", "ancestral"):
        made = system.sample(1, steps=4, sampler=sampler, prompt="cat")
        assert bool(torch.isfinite(made.tensor).all()) and made.provenance["sampler"] == sampler
    start = system.sample(1, steps=4, sampler="midpoint", prompt="cat", image=picture()[:1], strength=0.5)
    assert start.provenance["strength"] == 0.5 and start.provenance["start"] == "FromPicture"


def test_a_sampler_by_any_name_is_the_scheduler_of_that_class(folder: Folder) -> None:
    system = system_at(folder("stable diffusion"))
    assert all(kind in DEFAULTS for kind, _ in (NAMED | _FLOW).values())
    names = ("DPM++ 2M Karras", "dpmpp_2m karras", "UniPC", "uni_pc", "EulerDiscreteScheduler", "plms")
    kinds = [found and found.name for found in map(system.schedulers.named, names)]
    multistep, unipc = "DPMSolverMultistepScheduler", "UniPCMultistepScheduler"
    assert kinds == [multistep, multistep, unipc, unipc, "EulerDiscreteScheduler", "PNDMScheduler"]
    assert system.schedulers.named("midpoint") is None
    assert system.schedulers.named("ddim").options["beta_end"] == 0.012  # from the folder's file


def test_batches_change_nothing(folder: Folder) -> None:
    system = system_at(folder("stable diffusion"))
    whole = system.sample(3, steps=4, prompt=["a", "b", "c"]).tensor
    parts = system.sample(3, steps=4, prompt=["a", "b", "c"], batch=1).tensor
    assert float((whole - parts).abs().max()) < 1e-4


def test_other_sizes(folder: Folder) -> None:
    path = folder("flux")
    assert load(path, size=(24, 16)).sample(1, steps=1, prompt="a").tensor.shape == (1, 3, 24, 16)
    assert load(path).shape == (4, 128, 128)
    with pytest.raises(UsageError, match="size must be multiples of 4 pixels for this model, got 18 x 16"):
        load(path, size=(18, 16))
    with pytest.raises(UsageError, match="'fashion-mnist' draws pictures of the size it was trained on"):
        ornstein.load("fashion-mnist", size=(16, 16))


def test_classes_by_any_of_their_names(folder: Folder) -> None:
    system = system_at(folder("dit"))
    cond = [system.conditions([0], {"label": label})["label"].item() for label in ("word 7, kind 7", "kind 7", "7", 7)]
    assert cond == [7, 7, 7, 7]
    with pytest.raises(UsageError, match=r"label 1000 is out of range: 0 \.\. 999 .*kind 39, \.\.\.\)"):
        system.conditions([0], {"label": 1000})
    with pytest.raises(UsageError, match=r"unknown label 'wort 7': did you mean 'word 7'"):
        system.conditions([0], {"label": "wort 7"})


@pytest.fixture
def copy(tmp_path: Path, folder: Folder) -> Path:
    """A Stable Diffusion folder that may be changed."""
    return Path(shutil.copytree(folder("stable diffusion"), tmp_path / "m"))


def rewritten(path: Path, **entries: Any) -> None:
    """Change the index."""
    file = path / "model_index.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


def test_unknown_classes_are_refused(copy: Path) -> None:
    kept = json.loads((copy / "model_index.json").read_text())
    rewritten(copy, _class_name="CatPipeline")
    with pytest.raises(CapabilityError, match="unknown pipeline class 'CatPipeline'"):
        load(copy)
    rewritten(copy, _class_name=kept["_class_name"], vae=["diffusers", "AutoencoderOobleck"])
    with pytest.raises(CapabilityError, match="the vae is a AutoencoderOobleck; read are AutoencoderKL"):
        load(copy)
    rewritten(copy, vae=kept["vae"])
    shutil.rmtree(copy / "vae")
    with pytest.raises(CheckpointError, match="StableDiffusionPipeline needs the part 'vae', which is missing"):
        load(copy)
    (copy / "model_index.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="is no pipeline's index: a JSON object is expected"):
        load(copy)


def test_code_in_a_folder_is_never_run(copy: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = f"from pathlib import Path\nPath({str(ran)!r}).touch()\nclass MyNet: pass\n"
    for place in (copy / "my_code.py", copy / "unet" / "my_code.py", copy / "text_encoder" / "my_code.py"):
        place.write_text(code)
    # Fields that ask loaders to import a file of the folder; this library's classes are fixed, and they are left alone.
    for part in ("unet", "text_encoder"):
        file = copy / part / "config.json"
        told = {"auto_map": {"AutoModel": "my_code.MyNet"}, "trust_remote_code": True}
        file.write_text(json.dumps({**json.loads(file.read_text()), **told}))
    load(copy).sample(1, steps=1, prompt="a")
    rewritten(copy, unet=["my_code", "MyNet"])
    with pytest.raises(CapabilityError, match=r"the unet is a MyNet.*code that comes with a checkpoint is never run"):
        load(copy)
    rewritten(copy, unet=["my_code", "UNet2DConditionModel"], custom_pipeline="my_code")
    load(copy)  # the class of that name is diffusers' own, whatever module the index names
    assert not ran.exists()


def test_tensors_that_do_not_fit_are_listed(copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    gone = "conv_in.weight"
    save_file({k: v for k, v in tensors.items() if k != gone}, weights)
    with pytest.raises(CheckpointError, match=r"do not fit UNet2DConditionModel.*missing keys: conv_in\.weight"):
        load(copy)
    save_file({**tensors, gone: tensors[gone][:, :2].contiguous()}, weights)
    with pytest.raises(
        CheckpointError, match=r"mismatched keys: conv_in\.weight is \[8, 2, 3, 3\], not \[8, 4, 3, 3\]"
    ):
        load(copy)
    save_file({**tensors, "extra.weight": tensors[gone].clone()}, weights)
    with pytest.raises(CheckpointError, match=r"unexpected keys: extra\.weight"):
        load(copy)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"the weights in .*unet.* cannot be read"):
        load(copy)
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(CheckpointError, match=r"is a pickle.*refused"):
        load(copy)


def test_tensors_of_a_text_encoder_that_do_not_fit_are_listed(copy: Path) -> None:
    file = copy / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    first = next(k for k in sorted(tensors) if k.endswith("fc1.weight"))
    save_file({k: v for k, v in tensors.items() if k != first}, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"do not fit CLIPTextModel: missing keys: .*fc1\.weight"):
        load(copy)
    save_file({**tensors, first: tensors[first][:5].contiguous()}, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"fc1\.weight is \[5, 16\], not \[24, 16\]"):
        load(copy)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("scheduler", "looks like a scheduler's own folder"),
        ("unet", r"looks like one part of a pipeline \(UNet2DConditionModel\); give the folder above it"),
        ("text_encoder", r"looks like one part of a pipeline \(CLIPTextModel\)"),
        ("nowhere", "there is nothing there"),
        (
            ".",
            r"holds parts of a pipeline \(scheduler, text_encoder, tokenizer, unet, vae\) and not the file that joins",
        ),
    ],
)
def test_a_folder_without_an_index_says_what_it_looks_like(place: str, message: str, copy: Path) -> None:
    (copy / "model_index.json").unlink()
    with pytest.raises(CheckpointError, match=message):
        read_index(copy / place)
    if place not in ("nowhere",):
        with pytest.raises(CheckpointError, match=message):
            ornstein.load(copy / place)


def test_a_single_file_and_an_empty_folder_say_what_they_look_like(tmp_path: Path) -> None:
    (tmp_path / "v1-5.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"it is a file; give the folder"):
        read_index(tmp_path / "v1-5.safetensors")
    with pytest.raises(CheckpointError, match=r"v1-5\.safetensors, which looks like a checkpoint in one file"):
        read_index(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="it holds nothing"):
        read_index(tmp_path / "empty")


def test_pictures_that_do_not_fit_are_refused(folder: Folder) -> None:
    sd, inpaint = system_at(folder("stable diffusion")), system_at(folder("inpainting"))
    deep, small = system_at(folder("depth")), system_at(folder("upscale"))
    image, mask = picture()[:1], hole()
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (sd, {"image": image[..., :8]}, r"image is \[1, 3, 16, 8\], and this pipeline takes \[1 or 1, 3, 16, 16\]"),
        (sd, {"image": image * 3}, r"an image lies in \[-1, 1\]; this one reaches"),
        (sd, {"image": image, "strength": 1.5}, r"strength lies in \(0, 1\], got 1.5"),
        (sd, {"image": image, "strength": 0.1}, "strength = 0.1 of 2 steps leaves none to make"),
        (sd, {"strength": 0.5}, "go with an image"),
        (sd, {"image": image, "mask": mask[..., :8]}, r"mask is \[1, 1, 16, 8\]"),
        (sd, {"image": image, "mask": mask / 2}, "a mask holds 0 .* and 1"),
        (sd, {"image": image, "depth": image[:, :1]}, "reads no depth map"),
        (sd, {"image": image, "noise_level": 3}, "noise_level belongs to upscaling"),
        (inpaint, {}, "give an image and a mask"),
        (inpaint, {"image": image}, "give a mask, 1 where"),
        (deep, {"image": image, "mask": mask}, "follows a depth map and takes no mask"),
        (deep, {"image": image, "depth": image}, r"a depth map is \[1 or 1, 1, h, w\], got \[1, 3, 16, 16\]"),
        (deep, {"image": image, "depth": torch.ones(1, 1, 8, 8)}, "one depth everywhere"),
        (small, {"image": image}, r"image is \[1, 3, 16, 16\], and this pipeline takes \[1 or 1, 3, 8, 8\]"),
        (small, {"image": image[..., ::2, ::2], "strength": 0.5}, "upscaling takes neither mask nor strength"),
    ]
    for system, given, message in cases:
        with pytest.raises((UsageError, DataError), match=message):
            system.sample(1, steps=2, prompt="a", **given)


def test_depth_is_estimated_where_none_is_given(folder: Folder) -> None:
    system = system_at(folder("depth"))
    call = {"steps": 2, "prompt": "a", "image": picture()[:1]}
    own = system.given.depth(call["image"])
    given = system.sample(1, depth=own, **call).tensor
    torch.testing.assert_close(system.sample(1, **call).tensor, given)
    assert own.shape[:2] == (1, 1) and float(own.std()) > 0
