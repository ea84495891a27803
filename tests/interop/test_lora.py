"""LoRA, LoHa, LoKr and DoRA: the same network as PEFT's and diffusers' own loading, exact merging, other bases named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import ornstein
from interop.originals import original
from ornstein.cli import main
from ornstein.core.errors import CheckpointError, UsageError
from ornstein.interop.adapters import merge, read_adapter, restore, with_lora
from ornstein.interop.adapters.changes import Hadamard, Kronecker, LowRank
from ornstein.interop.adapters.lora import parse
from ornstein.interop.diffusers import Pipeline

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


@pytest.fixture(scope="module")
def system(sd1: Path) -> Pipeline:
    loaded = ornstein.load(sd1)
    assert isinstance(loaded, Pipeline)
    return loaded


def answer(system: Any) -> Tensor:
    """The network at one state."""
    g = torch.Generator().manual_seed(1)
    x, text = torch.randn(2, 4, 8, 8, generator=g), torch.randn(2, 5, 64, generator=g)
    with torch.no_grad():
        return system.denoiser.network(x, torch.tensor([500.0, 20.0]), {"text": text})


def theirs(unet: Any) -> Tensor:
    g = torch.Generator().manual_seed(1)
    x, text = torch.randn(2, 4, 8, 8, generator=g), torch.randn(2, 5, 64, generator=g)
    with torch.no_grad():
        return unet(x, torch.tensor([500.0, 20.0]), encoder_hidden_states=text).sample


def peft_folder(sd1: Path, folder: Path, config: Any) -> tuple[Path, Tensor]:
    """A folder that PEFT wrote, of random numbers, and what its model answers."""
    import peft

    unet = diffusers.UNet2DConditionModel.from_pretrained(sd1 / "unet")
    model = peft.get_peft_model(unet, config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad and "magnitude" not in name:
                p.normal_(0, 0.2)
            elif p.requires_grad:
                p.mul_(1 + 0.3 * torch.rand_like(p))
    model.save_pretrained(folder)
    return folder, theirs(model.eval())


def configs() -> dict[str, Any]:
    import peft

    convs = [*ATTENTION, "conv1", "conv_shortcut"]
    return {
        "lora": peft.LoraConfig(r=4, lora_alpha=8, target_modules=convs),
        "rslora, patterns": peft.LoraConfig(
            r=4,
            lora_alpha=8,
            use_rslora=True,
            target_modules=ATTENTION,
            rank_pattern={"to_k": 2},
            alpha_pattern={"to_v": 3},
        ),
        "dora": peft.LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules=convs),
        "loha": peft.LoHaConfig(r=4, alpha=8, target_modules=convs, use_effective_conv2d=True),
        "lokr": peft.LoKrConfig(r=4, alpha=8, target_modules=convs, use_effective_conv2d=True),
        "lokr, both divided": peft.LoKrConfig(r=2, alpha=8, target_modules=ATTENTION, decompose_both=True),
    }


@pytest.mark.parametrize("kind", ["lora", "rslora, patterns", "dora", "loha", "lokr", "lokr, both divided"])
def test_as_peft_computes_it(kind: str, system: Pipeline, sd1: Path, tmp_path: Path) -> None:
    folder, expected = peft_folder(sd1, tmp_path / "peft", configs()[kind])
    before = answer(system)
    assert float((answer(with_lora(system, folder)) - expected).abs().max()) < 1e-4
    assert float((before - expected).abs().max()) > 0.01
    assert torch.equal(answer(system), before)


def random_lora(
    system: Pipeline, head: str, down: str, up: str, flat: bool, alpha: float | None = 2.0
) -> dict[str, Tensor]:
    """Changes of rank 2 of the attentions, under the names of a dialect."""
    g = torch.Generator().manual_seed(3)
    out = {}
    for name, module in system.denoiser.network.model.named_modules():  # type: ignore[union-attr, operator]
        if isinstance(module, torch.nn.Linear) and "attn" in name:
            key = head + (name.replace(".", "_") if flat else name)
            out[key + down] = torch.randn(2, module.in_features, generator=g) * 0.2
            out[key + up] = torch.randn(module.out_features, 2, generator=g) * 0.2
            if alpha is not None:
                out[key + ".alpha"] = torch.tensor(alpha)
    return out


DIALECTS: dict[str, dict[str, Any]] = {
    "kohya": {"head": "lora_unet_", "down": ".lora_down.weight", "up": ".lora_up.weight", "flat": True, "alpha": 1.0},
    "diffusers": {"head": "unet.", "down": ".lora_A.weight", "up": ".lora_B.weight", "flat": False, "alpha": None},
    "diffusers 2023": {
        "head": "unet.",
        "down": ".lora.down.weight",
        "up": ".lora.up.weight",
        "flat": False,
        "alpha": None,
    },
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_as_diffusers_computes_it(dialect: str, system: Pipeline, sd1: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(random_lora(system, **DIALECTS[dialect]), path)
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(sd1, safety_checker=None)
    pipe.load_lora_weights(tmp_path, weight_name=path.name, adapter_name="a")
    pipe.set_adapters(["a"], [0.7])
    assert float((answer(with_lora(system, (path, 0.7))) - theirs(pipe.unet)).abs().max()) < 1e-4


def test_the_same_latents_with_two_adapters(system: Pipeline, sd1: Path, tmp_path: Path) -> None:
    names = []
    for name, alpha in (("a", 1.0), ("b", 3.0)):
        save_file(random_lora(system, **{**DIALECTS["kohya"], "alpha": alpha}), tmp_path / f"{name}.safetensors")
        names.append(tmp_path / f"{name}.safetensors")
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(sd1, safety_checker=None)
    for name, path in zip("ab", names, strict=True):
        pipe.load_lora_weights(tmp_path, weight_name=path.name, adapter_name=name)
    pipe.set_adapters(["a", "b"], [0.5, -0.25])
    pipe.set_progress_bar_config(disable=True)
    adapted = with_lora(system, (names[0], 0.5), (names[1], -0.25))
    from ornstein.core.rng import Rng

    noise = Rng([0]).normal((1, 4, 8, 8))
    expected = pipe("a cat", num_inference_steps=4, latents=noise, output_type="pt").images
    ours = adapted.sample(1, steps=4, seed=0, prompt="a cat").tensor / 2 + 0.5
    assert float((ours - expected).abs().max()) < 2 / 255
    assert float((system.sample(1, steps=4, seed=0, prompt="a cat").tensor / 2 + 0.5 - expected).abs().max()) > 0.01
    assert adapted.weights["adapters"] == [
        {"name": "a.safetensors", "weight": 0.5},
        {"name": "b.safetensors", "weight": -0.25},
    ]


def test_merging_is_taken_back_to_the_bit(system: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(random_lora(system, **DIALECTS["kohya"]), path)
    before = {k: v.clone() for k, v in system.modules.state_dict().items()}
    plain = answer(system)
    base = merge(system, [(read_adapter(path), 0.3)])
    changed = answer(system)
    assert len(base) == 32  # 4 transformer blocks of 8 and not torch.equal(changed, plain)
    restore(system, base)
    assert all(torch.equal(v, before[k]) for k, v in system.modules.state_dict().items())
    assert torch.equal(answer(system), plain)
    # A merged copy shares what it does not change, and a weight of 0 changes nothing.
    copy = with_lora(system, (path, 0.3))
    assert torch.equal(answer(copy), changed)
    model, other = system.denoiser.network.model, copy.denoiser.network.model
    assert model.conv_in.weight is other.conv_in.weight and model is not other
    assert torch.equal(answer(with_lora(system, (path, 0.0))), plain)


def test_text_encoders_and_original_names(system: Pipeline, tmp_path: Path) -> None:
    g = torch.Generator().manual_seed(0)
    up, down = torch.randn(64, 2, generator=g), torch.randn(2, 64, generator=g)
    words = {"prompt": "a cat"}
    expected = None
    for name in (
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_{}.weight",
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.{}.weight",
        "text_encoder.encoder.layers.0.self_attn.to_q_lora.{}.weight",
    ):
        path = tmp_path / "te.safetensors"
        save_file({name.format("up"): up, name.format("down"): down}, path)
        text = with_lora(system, path).conditions([0], words)["text"]
        expected = text if expected is None else expected
        assert torch.equal(text, expected)
    assert expected is not None and not torch.equal(system.conditions([0], words)["text"], expected)
    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    tail = "transformer_blocks_0_attn1_to_q.lora_{}.weight"
    for path, head in ((a, "lora_unet_middle_block_1_"), (b, "lora_unet_mid_block_attentions_0_")):
        save_file({(head + tail).format("up"): up, (head + tail).format("down"): down}, path)
    assert torch.equal(answer(with_lora(system, a)), answer(with_lora(system, b)))


def test_cores_of_convolutions() -> None:
    """A core between the factors is the convolution of convolutions: checked by convolving one after the other."""
    g = torch.Generator().manual_seed(0)
    up, mid, down = (torch.randn(*s, generator=g) for s in ((5, 2, 1, 1), (2, 2, 3, 3), (2, 4, 1, 1)))
    x = torch.randn(1, 4, 6, 6, generator=g)
    whole = LowRank(up, down, 0.5, mid).delta(torch.Size((5, 4, 3, 3)))
    steps = torch.conv2d(torch.conv2d(torch.conv2d(x, down), mid), up)
    torch.testing.assert_close(torch.conv2d(x, whole), 0.5 * steps, atol=1e-4, rtol=1e-4)
    # w_a [r, o] and w_b [r, i] around the core.
    a, b = torch.randn(2, 5, generator=g), torch.randn(2, 4, generator=g)
    ones = torch.zeros(1, 1, 3, 3) + 1
    core = Hadamard(a, b, torch.ones(1, 5), torch.ones(1, 4), 1.0, mid, ones).delta(torch.Size((5, 4, 3, 3)))
    steps = torch.conv2d(torch.conv2d(torch.conv2d(x, b[:, :, None, None]), mid), a.t()[:, :, None, None])
    torch.testing.assert_close(torch.conv2d(x, core), steps, atol=1e-4, rtol=1e-4)
    w1, w2 = torch.randn(2, 2, generator=g), torch.randn(3, 2, 3, 3, generator=g)
    kron = Kronecker(w1, w2, 2.0).delta(torch.Size((6, 4, 3, 3)))
    torch.testing.assert_close(kron[3:, 2:], 2 * w1[1, 1] * w2)


def test_another_base_is_named(system: Pipeline, tmp_path: Path) -> None:
    other = original(tmp_path / "xl", "sdxl")
    unet = diffusers.UNet2DConditionModel.from_pretrained(other / "unet")
    tensors = {}
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.Linear) and "attn2" in name:
            tensors[f"unet.{name}.lora_A.weight"] = torch.zeros(2, module.in_features)
            tensors[f"unet.{name}.lora_B.weight"] = torch.zeros(module.out_features, 2)
    save_file(tensors, tmp_path / "xl.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"})
    with pytest.raises(CheckpointError) as e:
        with_lora(system, tmp_path / "xl.safetensors")
    text = str(e.value)
    assert "was made for sdxl_base_v1-0, a model (texts of width 128) and does not fit StableDiffusionPipeline" in text
    assert "texts of width 64" in text
    assert "modules are not in the base" in text and "of another shape: " in text and "64 x 128 for 64 x 64" in text


def test_files_that_are_no_adapter(system: Pipeline, sd1: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is no LoRA.*conv_in.bias"):
        with_lora(system, next((sd1 / "unet").glob("*.safetensors")))
    save_file(
        {"lora_unet_mid_block_attentions_0_proj_out.lora_up.weight": torch.zeros(2, 2)}, tmp_path / "half.safetensors"
    )
    with pytest.raises(CheckpointError, match="has up alone; others are missing"):
        with_lora(system, tmp_path / "half.safetensors")
    torch.save({}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="is a pickle"):
        with_lora(system, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="does not exist"):
        with_lora(system, tmp_path / "nothing.safetensors")
    assert parse("a/b.safetensors:0.5") == ("a/b.safetensors", 0.5) and parse("b.safetensors") == ("b.safetensors", 1.0)
    with pytest.raises(UsageError, match="FILE or FILE:WEIGHT"):
        parse("b.safetensors:strong")


def test_the_command(system: Pipeline, sd1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.safetensors"
    save_file(random_lora(system, **DIALECTS["kohya"]), path)
    words = ["sample", str(sd1), "--prompt", "a cat", "-n", "1", "--steps", "1", "--json"]
    assert main([*words, "-o", str(tmp_path / "a.png"), "--lora", f"{path}:0.5", "--lora", str(path)]) == 0
    about = json.loads(capsys.readouterr().out)
    assert [a["weight"] for a in about["weights"]["adapters"]] == [0.5, 1.0]
    assert main([*words, "-o", str(tmp_path / "b.png"), "--lora", str(tmp_path / "no.safetensors")]) == 1
    assert "no.safetensors does not exist" in capsys.readouterr().err
    assert load_file(path)
