"""Attention as it is read: against attention made by hand, and against what must hold of any."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import X0
from ornstein.explain import attended_from, attention, heat, listening, overlay, text_length, token_maps, walk
from ornstein.explain.attention import attention_layers, grid_of
from ornstein.explain.influence import branches
from ornstein.networks.dit import DiT
from ornstein.networks.layers.blocks import CrossAttention, SelfAttention
from ornstein.networks.layers.conditioning import Text, TextCondition
from ornstein.networks.mp_unet import MPUNet
from ornstein.networks.unet import UNet
from ornstein.processes.gaussian import VP


class OneLayer(nn.Module):
    """A network that is one attention to a text."""

    def __init__(self) -> None:
        super().__init__()
        self.look = CrossAttention(4, 4, 1.0, 4)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        text = cond["text"]
        return self.look(x, Text(text, torch.ones(text.shape[:2], dtype=torch.bool)))


class Itself(nn.Module):
    """A network that is one attention to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = SelfAttention(8, 4, 1.0)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.layer(x)


def denoiser(network: nn.Module) -> Preconditioned:
    return Preconditioned(network, VP(), X0())


def time(x: Tensor) -> Tensor:
    return expand(torch.tensor(0.5, dtype=torch.float64), x)


def by_hand() -> tuple[Preconditioned, Tensor, Tensor]:
    """A layer that looks for its own colour: of two tokens, one is the left half's and the other the right half's."""
    network = OneLayer()
    with torch.no_grad():
        network.look.q.weight.copy_(40 * torch.eye(4)[:, :, None, None])
        network.look.kv.weight.copy_(torch.cat([torch.eye(4), torch.zeros(4, 4)]))
        for bias in (network.look.q.bias, network.look.kv.bias):
            assert bias is not None
            bias.zero_()
    left = torch.tensor([1.0, -1.0, 0.0, 0.0])
    x = torch.empty(1, 4, 6, 6)
    x[:, :, :, :3], x[:, :, :, 3:] = left[:, None, None], -left[:, None, None]
    return denoiser(network), x, torch.stack([left, -left])[None]


def test_attention_made_by_hand() -> None:
    model, x, text = by_hand()
    maps = token_maps(attention(model, x, time(x), {"text": text}), (6, 6), 2)
    left = (torch.arange(6) < 3).float().expand(6, 6)
    assert torch.allclose(maps[0, 0], left, atol=1e-6)
    assert torch.allclose(maps[0, 1], 1 - left, atol=1e-6)


def test_listening_changes_nothing() -> None:
    model, x, text = by_hand()
    nn.init.normal_(model.network.look.project.weight)  # type: ignore[union-attr,arg-type]
    before = model(x, time(x), {"text": text}).mean
    with listening(model) as (view, heard):
        assert torch.equal(view(x, time(x), {"text": text}).mean, before)
        assert torch.equal(model(x, time(x), {"text": text}).mean, before)
    assert [one.layer for one in heard] == ["look"]  # the model's own call was not heard
    assert not model.network.look._forward_hooks  # type: ignore[union-attr]


def test_the_fused_kernel_is_read_as_the_plain_products_are() -> None:
    """289 places are more than the networks multiply out: the weights come from the arguments of the kernel."""
    network = Itself()
    layer = network.layer
    x = torch.randn(2, 8, 17, 17)
    (heard,) = attention(denoiser(network), x, time(x), {})
    q, k, _ = layer.qkv(layer.norm(x)).reshape(2, 3, 2, 4, 289).transpose(-2, -1).unbind(1)
    assert heard.weights.shape == (2, 2, 289, 289)
    assert torch.allclose(heard.weights, (q @ k.transpose(-2, -1) / math.sqrt(4)).softmax(-1), atol=1e-6)


TEXT = TextCondition("text", 6)
NETWORKS: dict[str, Any] = {
    "unet": lambda: UNet(channels=1, widths=(8, 16), blocks=1, head=4, conditions=(TEXT,)),
    "unet transformer": lambda: UNet(
        channels=1, widths=(8, 16), blocks=1, head=4, conditions=(TEXT,), transformer=True
    ),
    "mp unet": lambda: MPUNet(channels=1, widths=(8, 16), blocks=1, head=4, conditions=(TEXT,)),
    "dit cross": lambda: DiT(channels=1, width=16, depth=2, head=8, conditions=(TEXT,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_every_network_pays_to_a_text_adds_up(name: str) -> None:
    model = denoiser(NETWORKS[name]())
    x, text = torch.randn(2, 1, 8, 8), torch.randn(2, 5, 6)
    heard = attention(model, x, time(x), {"text": text})
    assert {one.kind for one in heard} == {"itself", "text"}
    maps = token_maps(heard, (8, 8), 5)
    assert maps.shape == (2, 5, 8, 8)
    assert torch.allclose(maps.sum(1), torch.ones(2, 8, 8), atol=1e-5)
    assert torch.allclose(attended_from(heard, (8, 8), 7, 0).sum((1, 2)), torch.ones(2), atol=1e-5)


def test_tokens_before_the_image() -> None:
    """One sequence: with keys of zero every one of 5 + 16 gets the same."""
    network = DiT(channels=1, width=16, depth=2, head=8, conditions=(TEXT,), text="tokens")
    for block in network.blocks:
        nn.init.zeros_(block.qkv.weight)
        nn.init.zeros_(block.qkv.bias)
    x = torch.randn(1, 1, 8, 8)
    maps = token_maps(attention(denoiser(network), x, time(x), {"text": torch.randn(1, 5, 6)}), (8, 8), 5)
    assert torch.allclose(maps, torch.full((1, 5, 8, 8), 1 / 21), atol=1e-6)


def test_uniform_attention_is_uniform() -> None:
    network = UNet(channels=1, widths=(8,), blocks=1, head=4, attention=(0,))
    for name in attention_layers(network):
        layer = network.get_submodule(name)
        nn.init.zeros_(layer.qkv.weight)
    x = torch.randn(1, 1, 6, 6)
    seen = attended_from(attention(denoiser(network), x, time(x), {}), (6, 6), 2, 3)
    assert torch.allclose(seen, torch.full((1, 6, 6), 1 / 36), atol=1e-7)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import diffusers

    from interop.checkpoints import SD, stable_diffusion

    folder = tmp_path_factory.mktemp("sd")
    return ornstein.load(stable_diffusion(folder / "m", diffusers.DDIMScheduler(**SD, clip_sample=False)))


@pytest.mark.filterwarnings("ignore")
def test_a_text_to_image_folder(pipeline: Any) -> None:
    prompt = "low cat"
    path = walk(pipeline, 1, steps=2, guidance=3.0, conditions={"prompt": prompt})
    found = heat(pipeline, path, prompt)
    assert found.maps.shape == (1, 16, 8, 8)
    assert torch.allclose(found.maps.sum(1), torch.ones(1, 8, 8), atol=1e-5)
    assert found.words[0][:5] == ["<|startoftext|>", "low</w>", "c", "a", "t</w>"]
    assert torch.equal(found.of(0, "low"), found.maps[0, 1])
    with pytest.raises(CapabilityError, match="no token 'dog'"):
        found.of(0, "dog")


@pytest.mark.filterwarnings("ignore")
def test_keys_of_zero_make_a_folder_look_everywhere_alike(pipeline: Any) -> None:
    """diffusers' own attention: with to_k = 0 each of 16 tokens gets 1/16 of every pixel, whatever the prompt."""
    for name in attention_layers(pipeline.denoiser.network):
        nn.init.zeros_(pipeline.denoiser.network.get_submodule(name).to_k.weight)
    path = walk(pipeline, 1, steps=2, conditions={"prompt": "cat"})
    assert torch.allclose(heat(pipeline, path).maps, torch.full((1, 16, 8, 8), 1 / 16), atol=1e-6)


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from interop.makers import stable_diffusion_3

    return ornstein.load(stable_diffusion_3(tmp_path_factory.mktemp("sd3") / "m"))


@pytest.mark.filterwarnings("ignore")
def test_text_behind_the_image_is_put_before_it(joint: Any) -> None:
    """Stable Diffusion 3 has one sequence, the image first: from the layer's own projections, with the text put first."""
    path = walk(joint, 1, steps=2, guidance=1.0, conditions={"prompt": "cat"})
    (name,) = attention_layers(joint.denoiser.network)
    layer = joint.denoiser.network.get_submodule(name)
    seen: list[Any] = []
    hook = layer.register_forward_pre_hook(lambda module, args, options: seen.append(options), with_kwargs=True)
    (heard,) = attention(joint.denoiser, path.states[0], expand(path.times[0], path.states[0]), path.cond)
    hook.remove()
    x, text = seen[-1]["hidden_states"], seen[-1]["encoder_hidden_states"]
    q, k = (
        torch.cat([added(text), own(x)], 1).unflatten(2, (layer.heads, -1)).transpose(1, 2)
        for added, own in ((layer.add_q_proj, layer.to_q), (layer.add_k_proj, layer.to_k))
    )
    assert torch.allclose(heard.weights, (q @ k.transpose(-2, -1) / math.sqrt(8)).softmax(-1), atol=1e-6)
    tokens = text_length([heard], branches(path.cond)[0], (8, 8))
    assert tokens == text.shape[1]
    assert torch.allclose(attended_from([heard], (8, 8), 3, 3, tokens).sum((1, 2)), torch.ones(1), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_words_of_two_encoders_one_behind_the_other(joint: Any) -> None:
    path = walk(joint, 1, steps=2, guidance=1.0, conditions={"prompt": "low cat"})
    found = heat(joint, path, "low cat")
    assert found.words[0][16:19] == ["▁", "l", "o"]
    assert found.names(0) == ["low", "c", "a", "t", "l", "o", "w"]
    assert float(found.maps.sum(1).max()) < 1  # the rest is paid to the image


def test_places() -> None:
    assert grid_of(49, (28, 28)) == (7, 7)
    assert grid_of(4 * 4, (7, 7)) == (4, 4)  # 3.5 is rounded up
    assert grid_of(4 * 8, (8, 16)) == (4, 8)
    assert grid_of(50, (28, 28)) is None


def test_an_overlay_is_hottest_at_the_peak() -> None:
    picture = torch.zeros(1, 4, 4, dtype=torch.uint8)
    weights = torch.zeros(4, 4)
    weights[1, 2] = 3.0
    over = overlay(picture, weights)
    assert over.shape == (3, 4, 4)
    assert over[0].argmax() == 1 * 4 + 2
    assert int(over[:, 0, 0].sum()) == 0


def test_refusals() -> None:
    x = torch.randn(1, 1, 8, 8)
    bare = UNet(channels=1, widths=(8,), blocks=1, head=4, attention=(0,))
    heard = attention(denoiser(bare), x, time(x), {})
    with pytest.raises(CapabilityError, match="reads none by attention"):
        token_maps(heard, (8, 8), 3)
    with pytest.raises(UsageError, match="outside"):
        attended_from(heard, (8, 8), 8, 0)
    with pytest.raises(CapabilityError, match="no attention"):
        attention(denoiser(nn.Identity()), x, time(x), {})
    system = ornstein.load("fashion-mnist")
    with pytest.raises(CapabilityError, match="attention is read from a network"):
        attention(system.guided(2.0), x, time(x), {})
    flat = dataclasses.replace(system, shape=(3,))
    with pytest.raises(CapabilityError, match="no image"):
        heat(flat, walk(system, steps=1, sampler="ddim"))
