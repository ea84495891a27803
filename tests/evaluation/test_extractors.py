"""Extractors whose weights come as files: layout, pre-processing, hashes. Random weights of the published layouts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError, DataError, UsageError
from ornstein.evaluation import evaluate
from ornstein.evaluation.features import extractor_from_file, inception
from ornstein.evaluation.features.classifier import Classifier
from ornstein.evaluation.features.clip import MEAN as CLIP_MEAN
from ornstein.evaluation.features.clip import STD as CLIP_STD
from ornstein.evaluation.features.clip import CLIPFeatures, Tower
from ornstein.evaluation.features.dinov2 import MEAN, STD, DINOv2Features, Network
from ornstein.evaluation.features.extractors import extractor_for
from ornstein.evaluation.features.inception import Inception, InceptionFeatures
from ornstein.evaluation.features.transformer import prepare


def randomise(network: nn.Module, scale: float = 1.0) -> dict[str, Tensor]:
    """Weights of plausible size everywhere, statistics of batch normalisation included."""
    g = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for name, x in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        fan = max(x[0].numel(), 1) if x.ndim > 1 else 1
        noise = torch.randn(x.shape, generator=g) * scale / fan**0.5
        norm = x.ndim == 1 and name.endswith("weight")
        state[name] = noise.abs() + 0.5 if name.endswith("running_var") else noise * 0.1 + 1 if norm else noise
    return state


def save(state: dict[str, Tensor], path: Path) -> Path:
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


def images(n: int, channels: int = 3, height: int = 32, width: int = 32) -> Tensor:
    g = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8, generator=g)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of pytorch-fid's state dict, as the published file has it: without counters."""
    state = {k: v for k, v in randomise(Inception(), 1.4).items() if not k.endswith("num_batches_tracked")}
    return save(state, tmp_path_factory.mktemp("inception") / "w.safetensors")


def test_inception_has_the_published_parameters() -> None:
    # Inception v3 without its auxiliary head has 23,834,568 parameters for 1000 classes; this one has 1008.
    assert sum(p.numel() for p in Inception().parameters()) == 23_834_568 + 8 * 2049


def test_inception_reads_the_layout_and_prepares_as_pytorch_fid(weights: Path) -> None:
    extractor = InceptionFeatures(weights)
    assert (extractor.dims, extractor.original_inception) == (2048, False)
    assert extractor.name == "Inception pool3 (other weights)"
    assert extractor.hash == hashlib.sha256(weights.read_bytes()).hexdigest()
    x = images(2)
    found = extractor(x)
    y = F.interpolate(x / 255, size=(299, 299), mode="bilinear", align_corners=False) * 2 - 1
    with torch.no_grad():
        features, logits = extractor._net(y)
    torch.testing.assert_close(found.features, features)
    assert found.logits is not None and found.logits.shape == (2, 1008)
    torch.testing.assert_close(found.logits, logits)
    assert float(features.std()) > 1e-3
    grey = images(1, channels=1)
    torch.testing.assert_close(extractor(grey).features, extractor(grey.expand(-1, 3, -1, -1)).features)


def test_inception_pools_as_the_original() -> None:
    x = torch.randn(1, 2, 4, 4)
    inside = inception.average(x)
    assert float(inside[0, 0, 0, 0]) == pytest.approx(float(x[0, 0, :2, :2].mean()), rel=1e-5)  # 4 pixels, not 9
    block = inception.BlockE(2048, maximum=True).eval()
    block.load_state_dict(randomise(block))
    y = torch.randn(1, 2048, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(block(y)[:, -192:], block.branch_pool(F.max_pool2d(y, 3, 1, 1)))
        block.maximum = False
        torch.testing.assert_close(block(y)[:, -192:], block.branch_pool(inception.average(y)))
    net = Inception()
    assert net.Mixed_7c.maximum and not net.Mixed_7b.maximum


def test_only_the_original_file_is_fid(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = images(130), images(130).flip(0)
    other = InceptionFeatures(weights)
    with pytest.raises(
        UsageError, match=r"makes a distance an FID, and these features are Inception pool3 \(other weights\)"
    ):
        evaluate(x, y, metrics=["fid"], extractor=other)
    pickled = tmp_path / "w.pth"
    torch.save(other._net.state_dict(), pickled)
    with pytest.raises(
        CheckpointError, match=r"is a pickle of unknown content .* read only if it is the published file"
    ):
        InceptionFeatures(pickled)
    monkeypatch.setattr(inception, "ORIGINAL", hashlib.sha256(pickled.read_bytes()).hexdigest())
    original = InceptionFeatures(pickled)
    assert original.original_inception and original.name == "Inception pool3"
    torch.testing.assert_close(original(x[:1]).features, other(x[:1]).features)


def test_the_hash_of_the_original() -> None:
    # The first digits are in the published file's name, pt_inception-2015-12-05-6726825d.pth.
    assert inception.ORIGINAL.startswith("6726825d") and len(inception.ORIGINAL) == 64


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    file = save({"x": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"has SHA-256 [0-9a-f]{64}, not abc: it is another file, or was damaged"):
        extractor_from_file("dinov2", file, "ABC")
    for name, what in (("inception", "the Inception network"), ("dinov2", "DINOv2"), ("clip", "CLIP's vision")):
        with pytest.raises(CheckpointError, match=f"does not hold {what}"):
            extractor_from_file(name, file)
        with pytest.raises(UsageError, match="weights are not at"):
            extractor_from_file(name, tmp_path / "none.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(file.read_bytes()[:20])
    with pytest.raises(CheckpointError, match="cannot be read"):
        extractor_from_file("clip", tmp_path / "torn.safetensors")
    (tmp_path / "x.pth").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(CheckpointError, match="is a pickle of unknown content"):
        extractor_from_file("clip", tmp_path / "x.pth")
    with pytest.raises(UsageError, match="unknown extractor 'dino': did you mean 'dinov2'"):
        extractor_from_file("dino", file)


def test_transformers_prepare_images() -> None:
    x = images(1, height=40, width=60)
    zero, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    cropped = prepare(x, zero, one, crop=True)
    assert cropped.shape == (1, 3, 224, 224)
    full = F.interpolate(x.float(), (224, 336), mode="bicubic", antialias=True).clamp(0, 255) / 255
    torch.testing.assert_close(cropped, full[..., 56:280])
    deformed = F.interpolate(x.float(), (224, 224), mode="bicubic", antialias=True).clamp(0, 255) / 255
    torch.testing.assert_close(prepare(x, zero, one, crop=False), deformed)
    same = images(1, height=224, width=224)
    wanted = (same / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(prepare(same, MEAN, STD, crop=False), wanted)
    assert prepare(images(1, channels=1), MEAN, STD, crop=True).shape == (1, 3, 224, 224)


def attention(x: Tensor, weight: Tensor, bias: Tensor, out: nn.Linear) -> Tensor:
    """By PyTorch's own module."""
    dims = x.shape[-1]
    module = nn.MultiheadAttention(dims, dims // 64, batch_first=True)
    module.load_state_dict(
        {"in_proj_weight": weight, "in_proj_bias": bias, "out_proj.weight": out.weight, "out_proj.bias": out.bias}
    )
    return module(x, x, x, need_weights=False)[0]


@torch.no_grad()
def test_clip_is_its_published_forward_pass(tmp_path: Path) -> None:
    net = Tower(dims=128, depth=2, patch=32, tokens=50, out=24)
    net.load_state_dict(randomise(net))
    state = {f"visual.{k}": v for k, v in net.state_dict().items()} | {"text_projection": torch.zeros(2, 2)}
    extractor = CLIPFeatures(save(state, tmp_path / "clip.safetensors"))
    assert extractor.name == "CLIP ViT, 2 blocks of 128, patch 32" and extractor.dims == 24
    x = images(3)
    h = net.conv1(prepare(x, CLIP_MEAN, CLIP_STD, crop=True)).flatten(2).transpose(1, 2)
    h = torch.cat([net.class_embedding.expand(3, 1, -1), h], 1) + net.positional_embedding
    h = net.ln_pre(h)
    for block in net.transformer.resblocks:
        h = h + attention(block.ln_1(h), block.attn.in_proj_weight, block.attn.in_proj_bias, block.attn.out_proj)
        inner = block.mlp.c_fc(block.ln_2(h))
        h = h + block.mlp.c_proj(inner * torch.sigmoid(1.702 * inner))
    wanted = net.ln_post(h[:, 0]) @ net.proj
    torch.testing.assert_close(extractor(x).features, wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("registers", "gated"), [(0, False), (4, True)])
def test_dinov2_is_its_published_forward_pass(tmp_path: Path, registers: int, gated: bool) -> None:
    net = Network(dims=128, depth=2, patch=14, positions=1 + 37 * 37, hidden=96, registers=registers, gated=gated)
    net.load_state_dict(randomise(net))
    extractor = DINOv2Features(save(net.state_dict(), tmp_path / "dino.safetensors"))
    assert extractor.dims == 128 and ("4 registers" in extractor.name) == bool(registers)
    x = images(2)
    h = net.patch_embed.proj(prepare(x, MEAN, STD, crop=False)).flatten(2).transpose(1, 2)
    assert h.shape[1] == 16 * 16
    grid = net.pos_embed[:, 1:].reshape(1, 37, 37, 128).permute(0, 3, 1, 2)
    if registers:
        grid = F.interpolate(grid, size=(16, 16), mode="bicubic", antialias=True)
    else:
        grid = F.interpolate(grid, scale_factor=16.1 / 37, mode="bicubic")
    h = torch.cat([net.cls_token.expand(2, -1, -1), h], 1)
    h = h + torch.cat([net.pos_embed[:, :1], grid.permute(0, 2, 3, 1).reshape(1, 256, 128)], 1)
    if registers:
        h = torch.cat([h[:, :1], net.register_tokens.expand(2, -1, -1), h[:, 1:]], 1)
    for block in net.blocks:
        h = h + block.ls1.gamma * attention(block.norm1(h), block.attn.qkv.weight, block.attn.qkv.bias, block.attn.proj)
        y = block.norm2(h)
        if gated:
            a, b = block.mlp.w12(y).chunk(2, dim=-1)
            y = block.mlp.w3(F.silu(a) * b)
        else:
            y = block.mlp.fc2(F.gelu(block.mlp.fc1(y)))
        h = h + block.ls2.gamma * y
    torch.testing.assert_close(extractor(x).features, net.norm(h[:, 0]), rtol=1e-4, atol=1e-4)


def test_a_classifier_of_colour_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file says how many channels and pixels it takes; it is chosen where the data's name and channels fit."""
    torch.manual_seed(0)
    net = Classifier(classes=3, width=4, features=8, channels=3).eval()
    file = tmp_path / "sprites.safetensors"
    save_file(net.state_dict(), file)
    about = {"classes": ["a", "b", "c"], "width": 4, "features": 8, "channels": 3, "size": 32, "test_accuracy": 0.5}
    about["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    file.with_suffix(".json").write_text(json.dumps(about))
    monkeypatch.setattr("ornstein.evaluation.features.extractors.WEIGHTS", tmp_path)
    extractor = extractor_for("sprites", 3)
    assert extractor.name == "sprites classifier" and extractor.classes == ("a", "b", "c")
    x = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(extractor(x).logits, net(x.float() / 127.5 - 1)[1])
    assert extractor(x.repeat_interleave(2, 2).repeat_interleave(2, 3)).features.shape == (2, 8)
    assert extractor_for("sprites", 1).name.startswith("pixels")
    with pytest.raises(DataError, match="takes colour images, these have 1 channels"):
        extractor(x[:, :1])
