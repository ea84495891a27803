"""ControlNet, T2I-Adapter, IP-Adapter and learned words: the same picture as diffusers' own pipelines draw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import ornstein
from ornstein.cli import main
from ornstein.core.errors import CapabilityError, CheckpointError, DataError, UsageError
from ornstein.core.rng import Rng
from ornstein.interop.adapters.control import with_control
from ornstein.interop.adapters.embedding import with_embedding
from ornstein.interop.adapters.image_prompt import with_image_prompt
from ornstein.interop.diffusers import Pipeline

LEVEL = 2 / 255
STEPS = 3


@pytest.fixture(scope="module")
def system(sd1: Path) -> Pipeline:
    loaded = ornstein.load(sd1)
    assert isinstance(loaded, Pipeline)
    return loaded


@pytest.fixture(scope="module")
def edges() -> Tensor:
    return (torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(5)) > 0.5).float()


def ours(system: Any, **conditions: Any) -> Tensor:
    made = system.sample(2, steps=STEPS, seed=0, guidance=3.0, prompt=["a cat", "low"], **conditions).tensor
    return made / 2 + 0.5


def theirs(kind: Any, sd1: Path, parts: dict[str, Any], call: dict[str, Any], change: Any = None) -> Tensor:
    pipe = kind.from_pretrained(sd1, safety_checker=None, **parts)
    if change is not None:
        change(pipe)
    pipe.set_progress_bar_config(disable=True)
    noise = Rng(range(2)).normal((2, 4, 8, 8))
    made = pipe(
        prompt=["a cat", "low"], num_inference_steps=STEPS, guidance_scale=3.0, latents=noise, output_type="np", **call
    ).images
    return torch.from_numpy(made).permute(0, 3, 1, 2)


def randomised(model: Any) -> Any:
    """Zero convolutions and the like filled, so that what a model adds shows."""
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in model.parameters():
            if not p.any():
                p.copy_(torch.randn(p.shape, generator=g) * 0.1)
    return model


@pytest.fixture(scope="module")
def control(sd1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("control") / "edges"
    unet = diffusers.UNet2DConditionModel.from_pretrained(sd1 / "unet")
    torch.manual_seed(0)
    model = diffusers.ControlNetModel.from_unet(unet, conditioning_channels=3)
    model = diffusers.ControlNetModel.from_config({**model.config, "conditioning_embedding_out_channels": (8, 16)})
    randomised(model).save_pretrained(folder)
    return folder


def test_control(system: Pipeline, sd1: Path, control: Path, edges: Tensor) -> None:
    made = with_control(system, control, scale=0.8)
    net = diffusers.ControlNetModel.from_pretrained(control)
    call = {"image": edges.expand(2, -1, -1, -1), "controlnet_conditioning_scale": 0.8}
    expected = theirs(diffusers.StableDiffusionControlNetPipeline, sd1, {"controlnet": net}, call)
    drawn = ours(made, control=edges)
    assert float((drawn - expected).abs().max()) < LEVEL
    plain = ours(system)
    assert float((drawn - plain).abs().max()) > 0.01
    assert torch.equal(ours(made), plain)  # without a picture nothing is added, and the base is as it was


def test_two_controls_add_up(system: Pipeline, sd1: Path, control: Path, edges: Tensor) -> None:
    made = with_control(with_control(system, control, scale=0.8), control, scale=0.3, name="second")
    nets = [diffusers.ControlNetModel.from_pretrained(control) for _ in range(2)]
    call = {
        "image": [edges.expand(2, -1, -1, -1), 1 - edges.expand(2, -1, -1, -1)],
        "controlnet_conditioning_scale": [0.8, 0.3],
    }
    expected = theirs(diffusers.StableDiffusionControlNetPipeline, sd1, {"controlnet": nets}, call)
    assert float((ours(made, control=edges, second=1 - edges) - expected).abs().max()) < LEVEL
    assert float((ours(made, control=edges) - expected).abs().max()) > LEVEL
    with pytest.raises(UsageError, match="has a condition 'control' already"):
        with_control(made, control)
    with pytest.raises(UsageError, match="'depth' is an argument of sample"):
        with_control(system, control, name="depth")


def test_t2i_adapter(system: Pipeline, sd1: Path, edges: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = diffusers.T2IAdapter(in_channels=3, channels=(32, 64), num_res_blocks=1, downscale_factor=2)
    randomised(model).save_pretrained(tmp_path / "t2i")
    made = with_control(system, tmp_path / "t2i", scale=0.7, name="sketch")
    call = {"image": [to_image(edges)] * 2, "adapter_conditioning_scale": 0.7}
    expected = theirs(diffusers.StableDiffusionAdapterPipeline, sd1, {"adapter": model.eval()}, call)
    assert float((ours(made, sketch=edges) - expected).abs().max()) < LEVEL
    assert torch.equal(ours(made, sketch=to_image(edges)), ours(made, sketch=edges))
    assert float((ours(system) - expected).abs().max()) > 0.01


def to_image(x: Tensor) -> Image.Image:
    return Image.fromarray((x[0].permute(1, 2, 0) * 255).numpy().astype(np.uint8))


@pytest.fixture(scope="module")
def ip_adapter(sd1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    folder = tmp_path_factory.mktemp("ip") / "models"
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8,
        projection_dim=24,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
    g = torch.Generator().manual_seed(2)
    unet = diffusers.UNet2DConditionModel.from_pretrained(sd1 / "unet")
    tensors = {
        "image_proj.proj.weight": torch.randn(4 * 64, 24, generator=g) * 0.2,
        "image_proj.proj.bias": torch.randn(4 * 64, generator=g) * 0.2,
        "image_proj.norm.weight": torch.ones(64),
        "image_proj.norm.bias": torch.zeros(64),
    }
    cross = [n for n in unet.attn_processors if n.endswith("attn2.processor")]
    for i, name in enumerate(cross):
        out = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
        for x in "kv":
            tensors[f"ip_adapter.{2 * i + 1}.to_{x}_ip.weight"] = torch.randn(out, 64, generator=g) * 0.3
    save_file(tensors, folder / "ip-adapter_tiny.safetensors")
    # Of the kind "plus": four layers, heads of 64, which diffusers takes for granted.
    shapes: dict[str, tuple[int, ...]] = {"latents": (1, 4, 48)}
    for name, out, inside in (("proj_in", 48, 32), ("proj_out", 64, 48)):
        shapes |= {f"{name}.weight": (out, inside), f"{name}.bias": (out,)}
    for i in range(4):
        ask, further = f"layers.{i}.0", f"layers.{i}.1"
        shapes |= {f"{ask}.to_q.weight": (128, 48), f"{ask}.to_kv.weight": (256, 48), f"{ask}.to_out.weight": (48, 128)}
        shapes |= {f"{further}.1.weight": (192, 48), f"{further}.3.weight": (48, 192)}
    plus = {k: v for k, v in tensors.items() if k.startswith("ip_adapter.")}
    plus |= {f"image_proj.{k}": torch.randn(shape, generator=g) * 0.2 for k, shape in shapes.items()}
    norms = [f"layers.{i}.{place}" for i in range(4) for place in ("0.norm1", "0.norm2", "1.0")]
    for name, width in ("norm_out", 64), *((name, 48) for name in norms):
        plus[f"image_proj.{name}.weight"] = 1 + torch.randn(width, generator=g) * 0.1
        plus[f"image_proj.{name}.bias"] = torch.randn(width, generator=g) * 0.1
    (folder.parent / "plus").mkdir()
    save_file(plus, folder.parent / "plus" / "ip-adapter-plus_tiny.safetensors")
    (folder.parent / "image_encoder").symlink_to(folder / "image_encoder")
    return folder


@pytest.mark.parametrize(
    ("place", "weights"), [("models", "ip-adapter_tiny.safetensors"), ("plus", "ip-adapter-plus_tiny.safetensors")]
)
def test_ip_adapter(place: str, weights: str, system: Pipeline, sd1: Path, ip_adapter: Path, edges: Tensor) -> None:
    made = with_image_prompt(system, ip_adapter.parent / place / weights, scale=0.6)

    def change(pipe: Any) -> None:
        pipe.load_ip_adapter(
            str(ip_adapter.parent),
            subfolder=place,
            weight_name=weights,
            image_encoder_folder=str(ip_adapter / "image_encoder")[len(str(ip_adapter.parent)) + 1 :],
        )
        pipe.set_ip_adapter_scale(0.6)

    call = {"ip_adapter_image": to_image(edges)}
    expected = theirs(diffusers.StableDiffusionPipeline, sd1, {}, call, change)
    drawn = ours(made, image_prompt=to_image(edges))
    assert float((drawn - expected).abs().max()) < LEVEL
    assert torch.equal(ours(made, image_prompt=edges), drawn)
    assert float((ours(made) - drawn).abs().max()) > 0.01
    assert float((ours(system) - drawn).abs().max()) > 0.01


def test_learned_words(system: Pipeline, sd1: Path, tmp_path: Path) -> None:
    g = torch.Generator().manual_seed(4)
    vectors = torch.randn(3, 64, generator=g)
    save_file({"<thing>": vectors}, tmp_path / "learned_embeds.safetensors")
    save_file({"emb_params": vectors}, tmp_path / "thing.safetensors")
    made = with_embedding(system, tmp_path)
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(sd1, safety_checker=None)
    pipe.load_textual_inversion(tmp_path, weight_name="learned_embeds.safetensors")
    pipe.set_progress_bar_config(disable=True)
    noise = Rng([0]).normal((1, 4, 8, 8))
    prompt = "a <thing> cat"
    expected = pipe(prompt, num_inference_steps=STEPS, guidance_scale=3.0, latents=noise, output_type="pt").images
    drawn = made.sample(1, steps=STEPS, seed=0, guidance=3.0, prompt=prompt).tensor
    assert float((drawn / 2 + 0.5 - expected).abs().max()) < LEVEL
    other = with_embedding(system, tmp_path / "thing.safetensors", token="<thing>")
    assert torch.equal(other.sample(1, steps=STEPS, seed=0, guidance=3.0, prompt=prompt).tensor, drawn)
    words = made.prompts.prompts.tokenizer  # type: ignore[union-attr]
    assert len(words("<thing>", add_special_tokens=False).input_ids) == 3
    old = system.prompts.prompts  # type: ignore[union-attr]
    assert len(old.tokenizer) == 58 and old.encoder.get_input_embeddings().weight.shape[0] == 58
    with pytest.raises(UsageError, match="'<thing>' is known already"):
        with_embedding(made, tmp_path)
    with pytest.raises(UsageError, match="does not name its word: give token, such as '<thing>'"):
        with_embedding(system, tmp_path / "thing.safetensors")
    save_file({"<wide>": torch.zeros(768)}, tmp_path / "wide.safetensors")
    with pytest.raises(CheckpointError, match=r"encoder of width 768 and does not fit StableDiffusionPipeline.*has 64"):
        with_embedding(system, tmp_path / "wide.safetensors")
    save_file({"clip_l": torch.zeros(1, 64), "clip_g": torch.zeros(1, 64)}, tmp_path / "xl.safetensors")
    with pytest.raises(CheckpointError, match=r"vectors for 2 text encoders, StableDiffusionPipeline.* has 1"):
        with_embedding(system, tmp_path / "xl.safetensors", token="<x>")
    torch.save({}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="is a pickle"):
        with_embedding(system, tmp_path / "x.pt")


def test_pictures_that_cannot_be_followed(system: Pipeline, control: Path, edges: Tensor) -> None:
    made = with_control(system, control)
    for wrong, what in (
        (torch.zeros(1, 3, 8, 16), "control is 8 x 16 and this system draws 16 x 16: resize it"),
        (torch.zeros(3, 3, 16, 16), r"control is \[1 or 2, 3, H, W\]"),
        (torch.zeros(1, 1, 16, 16), r"got \[1, 1, 16, 16\]"),
        (edges * 2 - 1, r"lies in \[0, 1\]; this one reaches from -1 to 1"),
        (Image.new("RGB", (8, 8)), "control is 8 x 8"),
        ([Image.new("RGB", (8, 8)), Image.new("RGB", (9, 8))], "the pictures differ in size"),
    ):
        with pytest.raises(DataError, match=what):
            ours(made, control=wrong)
    with pytest.raises(UsageError, match="unknown condition 'contrl': did you mean 'control'"):
        ours(made, contrl=edges)


def test_folders_of_other_things(system: Pipeline, sd1: Path, control: Path, ip_adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        with_control(system, tmp_path)
    with pytest.raises(CapabilityError, match="holds a UNet2DConditionModel; read here are ControlNetModel"):
        with_control(system, sd1 / "unet")
    config = json.loads((control / "config.json").read_text())
    other = diffusers.ControlNetModel.from_config({**config, "cross_attention_dim": 96})
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(
        UsageError, match=r"other was made for a U-Net of cross_attention_dim 96; that of StableDiff.* has 64"
    ):
        with_control(system, tmp_path / "other")
    from ornstein.interop.files.weights import read_file

    tensors = read_file(ip_adapter / "ip-adapter_tiny.safetensors")
    few = tmp_path / "few"
    few.mkdir()
    (few / "image_encoder").symlink_to(ip_adapter / "image_encoder")
    save_file({k: v for k, v in tensors.items() if ".7." not in k}, few / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"which has 4 cross-attentions: it lacks, or has of another shape, 7 \("):
        with_image_prompt(system, few)
    save_file({"image_proj.latents": torch.zeros(1)}, few / "plus.safetensors")
    with pytest.raises(CheckpointError, match=r"holds plus.safetensors, x.safetensors; give"):
        with_image_prompt(system, few)
    with pytest.raises(CapabilityError, match="is no IP-Adapter of the plain kind or of 'plus'"):
        with_image_prompt(system, few, weights="plus.safetensors")
    plus = ip_adapter.parent / "plus" / "ip-adapter-plus_tiny.safetensors"
    tensors = read_file(plus)
    save_file({k: v for k, v in tensors.items() if "layers.2.0.to_q" not in k}, few / "less.safetensors")
    with pytest.raises(CheckpointError, match=r"is damaged: image_proj has missing keys: layers\.2\.0\.to_q\.weight$"):
        with_image_prompt(system, few / "less.safetensors")
    tensors["image_proj.proj_in.weight"] = torch.zeros(48, 40)
    save_file(tensors, few / "wide.safetensors")
    with pytest.raises(CheckpointError, match=r"reads 40 numbers of a picture, and the encoder in .* gives 32"):
        with_image_prompt(system, few / "wide.safetensors")
    with pytest.raises(UsageError, match="goes with a text-to-image pipeline"):
        with_control(ornstein.load("fashion-mnist"), control)


def test_the_command(sd1: Path, control: Path, ip_adapter: Path, edges: Tensor, tmp_path: Path, capsys: Any) -> None:
    to_image(edges).save(tmp_path / "edges.png")
    picture = str(tmp_path / "edges.png")
    words = ["sample", str(sd1), "--prompt", "a cat", "-n", "1", "--steps", "1", "-o", str(tmp_path / "a.png")]
    followed = ["--control", str(control), picture, "--control-scale", "0.5"]
    assert main([*words, *followed, "--ip-adapter", str(ip_adapter), picture]) == 0
    assert main([*words, "--control", str(control), str(tmp_path / "no.png")]) == 2
    assert "no.png cannot be read" in capsys.readouterr().err
