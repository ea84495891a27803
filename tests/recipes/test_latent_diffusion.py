"""Latent diffusion: its codecs, losses and stages, the cache of latents, and what it refuses."""

from __future__ import annotations

import dataclasses
import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ornstein
from ornstein.codecs.autoencoder import Autoencoder, KLAutoencoder, Summaries, VQAutoencoder
from ornstein.core.batch import Batch
from ornstein.core.conditions import ClassCondition, TextCondition, VectorCondition
from ornstein.core.errors import CheckpointError, DataError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.data import Loader, open_data
from ornstein.networks.autoencoder import Decoder, Encoder, PatchCritic
from ornstein.networks.mp_unet import MPUNet
from ornstein.networks.tokens import Tokens
from ornstein.networks.unet import UNet
from ornstein.objectives.autoencoding import Autoencoding, PatchCriticising, Spread
from ornstein.objectives.followers import Counter
from ornstein.objectives.perceptual import GradientDistance
from ornstein.recipes.images.latent_diffusion import encoded
from ornstein.recipes.images.perceptual import perceptual
from ornstein.recipes.system import System
from ornstein.training.checkpoint import save_checkpoint

TINY: dict[str, Any] = {
    "batch": 8, "codec_widths": (8, 8), "widths": (16,), "attention": (0,), "head": 8, "blocks": 1, "critic_width": 4,
    "precision": "fp32", "autoencoder_steps": 2, "critic_start": 0, "steps": 4,
}  # fmt: skip


def codec(kind: str) -> Autoencoder:
    torch.manual_seed(0)
    decoder = Decoder(channels=1, latents=2, widths=(8, 8), blocks=1)
    if kind == "kl":
        return KLAutoencoder(Encoder(channels=1, out=4, widths=(8, 8), blocks=1), decoder, 2)
    return VQAutoencoder(Encoder(channels=1, out=2, widths=(8, 8), blocks=1), decoder, 2, 4, 2)


def parameters(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


def test_published_autoencoders_have_their_numbers_of_parameters() -> None:
    with torch.device("meta"):
        assert parameters(Encoder(channels=3, out=8), Decoder(channels=3, latents=4)) == 83_653_863  # kl-f8
        widths = (128, 256, 512)
        f4 = parameters(
            Encoder(channels=3, out=3, widths=widths), Decoder(channels=3, latents=3, widths=widths)
        )  # vq-f4, 55.3 M
        assert f4 + 8192 * 3 == pytest.approx(55.3e6, rel=1e-3)


def test_the_u_net_of_stable_diffusion_has_its_number_of_parameters() -> None:
    """Of the published 859,520,964; ours has a linear layer and a null token before the attention besides."""
    with torch.device("meta"):
        network = UNet(
            channels=4, widths=(320, 640, 1280, 1280), blocks=2, attention=(0, 1, 2), head=40, resample="conv",
            modulation="shift", transformer=True, text_width=768, conditions=(TextCondition("text", 768),),
        )  # fmt: skip
    assert parameters(network) - (768 * 768 + 768 + 768) == 859_520_964


@pytest.mark.parametrize("kind", ["kl", "vq"])
def test_summaries_say_what_the_codec_says(kind: str) -> None:
    c, x = codec(kind), torch.rand(3, 1, 8, 8) * 2 - 1
    c.scale.fill_(2.0)
    with torch.no_grad():
        whole = c.encode(x, Rng(range(3)))
        cached = Summaries(c).encode(c.summary(x), Rng(range(3)))
        assert whole.shape == (3, 2, 4, 4)
        torch.testing.assert_close(whole, cached)
        torch.testing.assert_close(c.draw(c.summary(x), Rng(range(3))) * 2, whole)
        assert c.decode(whole).shape == x.shape and float(c.decode(50 * whole).abs().max()) <= 1


def test_the_scale_makes_unit_latents() -> None:
    c, x = codec("kl"), torch.rand(64, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        c.set_scale(c.summary(x))
        z = c.encode(x, Stream(0))
    assert float(z.std()) == pytest.approx(1, abs=0.03)
    vq = codec("vq")
    with pytest.raises(DataError, match="have no scale"):
        vq.set_scale(torch.ones(4, 2, 4, 4))


def test_codes_are_the_nearest_and_pass_gradients() -> None:
    c = codec("vq")
    assert isinstance(c, VQAutoencoder)
    with torch.no_grad():
        c.codebook.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0]]))
    z = torch.tensor([[0.9, 0.1], [0.1, 0.8], [9.0, 9.0], [-0.2, 0.1]]).T.reshape(1, 2, 2, 2)
    assert c.nearest(z).flatten().tolist() == [1, 2, 3, 0]
    torch.testing.assert_close(c.lookup(torch.tensor([[[3]]])).flatten(), torch.tensor([5.0, 5.0]))
    for index in (4, -1):
        with pytest.raises(DataError, match=f"code {index} is out of range: the codebook has 0 .. 3"):
            c.lookup(torch.tensor([[[index]]]))
    y, towards = c.reconstruct(torch.rand(2, 1, 8, 8), Stream(0))
    assert towards.shape == (2,)
    (slope,) = torch.autograd.grad(y.sum(), next(c.encoder.parameters()), retain_graph=True)
    assert float(slope.abs().max()) > 0
    (pull,) = torch.autograd.grad(towards.sum(), c.codebook)
    assert float(pull.abs().max()) > 0


def test_the_commitment_weighs_the_encoders_side_alone() -> None:
    grads = []
    for commitment in (0.25, 0.5):
        c = codec("vq")
        assert isinstance(c, VQAutoencoder)
        c.commitment = commitment
        _, towards = c.reconstruct(torch.linspace(-1, 1, 128).reshape(2, 1, 8, 8), Stream(0))
        encoder = next(c.encoder.parameters())
        grads.append(torch.autograd.grad(towards.sum(), [encoder, c.codebook]))
    torch.testing.assert_close(2 * grads[0][0], grads[1][0])
    torch.testing.assert_close(grads[0][1], grads[1][1])


def losses(start: int, critic_weight: float = 0.5) -> tuple[Autoencoding, PatchCriticising]:
    objective = Autoencoding(
        codec("kl"), Spread(), PatchCritic(channels=1, width=4, layers=1), GradientDistance(), calls=Counter(),
        regulariser_weight=1e-6, critic_weight=critic_weight, start=start,
    )  # fmt: skip
    return objective, PatchCriticising(objective)


def test_the_critic_counts_from_its_start_on_and_pulls_as_strongly_as_the_rest() -> None:
    objective, criticising = losses(start=1)
    batch = Batch(torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8))
    assert "adaptive_weight" not in objective(batch, Stream(0)).logs
    idle = criticising(batch, Stream(0)).value
    assert float(idle.detach()) == 0 and idle.requires_grad
    logs = objective(batch, Stream(0)).logs
    assert 0 < logs["adaptive_weight"] < 1e4
    assert float(criticising(batch, Stream(0)).value.detach()) > 0
    codec_ = objective.codec
    x = codec_.floats(batch.x, Stream(0))
    y, _ = codec_.reconstruct(x, Stream(0))
    rec, fooled = (x - y).abs().sum(), -objective.critic(y).mean()
    d = objective.adaptive(rec, fooled)
    last = codec_.decoder.last.weight  # type: ignore[union-attr]
    pull = [torch.autograd.grad(v, last, retain_graph=True)[0].norm() for v in (rec, d * fooled)]  # type: ignore[arg-type]
    torch.testing.assert_close(pull[1], 0.5 * pull[0], rtol=1e-2, atol=0)


def test_the_spread_learns_the_scale_of_the_errors() -> None:
    """At the minimum over s, sum (error e^-s + s) has s = log of the mean error."""
    objective, _ = losses(start=0, critic_weight=0)
    objective.perceptual = None
    batch = Batch(torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8))
    error = objective(batch, Stream(0)).logs["pixel_error"]
    with torch.no_grad():
        objective.spread.log.fill_(math.log(error))
    (slope,) = torch.autograd.grad(objective(batch, Stream(0)).value, objective.spread.log)
    assert abs(float(slope)) < 1e-4


@pytest.mark.parametrize("name", ["digits", "fashion-mnist", "gradients"])
def test_perceptual_distances(name: Any) -> None:
    distance = perceptual(name)
    assert distance is not None
    x = torch.rand(3, 3, 16, 16) * 2 - 1
    y = (x + 0.1 * torch.randn_like(x)).requires_grad_()
    assert float(distance(x, x).abs().max()) < 1e-6
    near, far = distance(x, y), distance(x, x.flip(-1))
    assert near.shape == (3,) and bool((near < far).all())
    assert float(torch.autograd.grad(near.sum(), y)[0].abs().max()) > 0
    assert perceptual("none") is None


def test_tokens_tell_classes_and_captions_and_what_is_missing() -> None:
    torch.manual_seed(0)
    inner = MPUNet(channels=2, widths=(16,), blocks=1, attention=(0,), conditions=(Tokens.condition(8),))
    network = Tokens(inner, (ClassCondition("label", 3), VectorCondition("caption", 4)), 8)
    with torch.no_grad():
        inner.out_gain.fill_(1.0)
    x, t = torch.randn(2, 2, 4, 4), torch.full((2,), 500.0)
    caption = torch.randn(2, 4)

    def out(**cond: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return network(x, t, cond)

    labels = out(label=torch.tensor([0, 1]))
    assert not torch.allclose(labels, out(label=torch.tensor([1, 1])))
    assert not torch.allclose(labels, out(label=torch.tensor([0, 1]), caption=caption))
    absent = torch.full((2, 4), torch.nan)
    torch.testing.assert_close(labels, out(label=torch.tensor([0, 1]), caption=absent))
    torch.testing.assert_close(out(), out(label=torch.tensor([-1, -1]), caption=absent))
    with pytest.raises(UsageError, match="nothing to make tokens of"):
        Tokens(inner, (), 8)


def test_the_transformer_block_reads_the_text() -> None:
    torch.manual_seed(0)
    network = UNet(
        channels=2, widths=(16, 16), blocks=1, attention=(1,), head=8, transformer=True, text_width=8,
        conditions=(TextCondition("text", 8),),
    )  # fmt: skip
    for p in network.parameters():
        nn.init.normal_(p, std=0.1)
    x, t = torch.randn(2, 2, 8, 8), torch.full((2,), 3.0)
    with torch.no_grad():
        a, b = (network(x, t, {"text": s * torch.ones(2, 3, 8)}) for s in (1.0, -1.0))
    assert not torch.allclose(a, b)


def trained(folder: Path, **settings: Any) -> System:
    return ornstein.train("latent-diffusion", data="digits", size=8, out=folder, settings=TINY | settings)[0]


def test_stages_follow_each_other_and_the_codec_stays(tmp_path: Path) -> None:
    system = trained(tmp_path / "run")
    codec_, average = system.codec, system.extra["average"]
    assert isinstance(codec_, Autoencoder)
    assert float(codec_.scale) != 1.0
    for name, p in codec_.named_parameters():
        torch.testing.assert_close(p, average.copy.get_parameter(name), rtol=1e-3, atol=1e-4)  # type: ignore[union-attr, operator]
    assert system.shape == (4, 4, 4) and system.data_shape == (1, 8, 8)
    assert system.sample(2, steps=2, label="3").tensor.shape == (2, 1, 8, 8)


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    def stop(progress: Any) -> None:
        if progress.seen == 3 * TINY["batch"]:
            signal.raise_signal(signal.SIGTERM)

    whole = trained(tmp_path / "a")
    ornstein.train("latent-diffusion", data="digits", size=8, out=tmp_path / "b", settings=TINY, on_step=stop)
    parts = trained(tmp_path / "b")
    for name, value in whole.modules.state_dict().items():
        assert torch.equal(parts.modules.state_dict()[name], value), name


def test_a_run_that_stopped_before_its_denoiser_draws_no_noise(tmp_path: Path) -> None:
    """A budget that ends in the autoencoder's stage: samples and likelihoods are refused until the run has gone on."""
    run = tmp_path / "run"
    settings = {k: v for k, v in TINY.items() if k != "steps"}
    ornstein.train("latent-diffusion", data="digits", size=8, out=run, settings=settings, kimg=0.008)
    system = ornstein.load(run)
    wanted = (
        r"after 1 steps, before the stage that trains its denoiser \(trained so far: codec, critic, spread\).*--resume"
    )
    with pytest.raises(UsageError, match=wanted):
        system.sample(2, steps=2)
    with pytest.raises(UsageError, match="its samples would be noise"):
        system.log_likelihood(torch.zeros(1, 1, 8, 8))
    longer, _ = ornstein.train("latent-diffusion", data="digits", size=8, out=run, settings=settings, kimg=0.024)
    assert longer.sample(2, steps=2, label="3").tensor.shape == (2, 1, 8, 8)


def test_latents_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = ornstein.build("latent-diffusion", settings=TINY | {"size": 8, "channels": 1})
    codec_ = system.codec
    assert isinstance(codec_, Autoencoder)
    data = open_data("digits", size=8).take(range(64))
    calls = []
    monkeypatch.setattr(codec_, "floats", lambda x, rng: calls.append(len(x)) or codec_.pixels.encode(x, rng))
    for _ in range(2):
        stream, reader = encoded(system.config, codec_, Loader(data, 8, 0))
        assert isinstance(reader, Summaries)
        batch = next(iter(stream))
        assert batch.x.shape == (8, 8, 4, 4) and "label" in batch.cond
    assert sum(calls) == 64
    with torch.no_grad():
        next(codec_.encoder.parameters()).add_(0.01)
    encoded(system.config, codec_, Loader(data, 8, 0))
    assert sum(calls) == 128


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 30, "codec_widths": (8, 8, 8)}, "size 30 does not divide by 4"),
        ({"autoencoder_steps": 4}, r"autoencoder_steps \(4\) must be fewer than steps \(4\)"),
        ({"regulariser": "vq", "codes": 1}, "at least 2 codes"),
        ({"perceptual": "vgg"}, "perceptual must be one of"),
        ({"critic_layers": 0}, "layers must be at least 1"),
        ({"kl_weight": -1.0}, "weights of an autoencoder's losses must be at least 0"),
    ],
)
def test_what_cannot_be_meant(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        system = ornstein.build("latent-diffusion", settings=TINY | settings)
        next(system.stages(None))  # type: ignore[arg-type]


def test_images_that_do_not_divide_are_refused() -> None:
    with pytest.raises(DataError, match=r"images of 7 x 8 do not divide by 2.*resize"):
        codec("kl").encode(torch.zeros(1, 1, 7, 8), Rng([0]))


def test_weights_without_their_scale_are_refused(tmp_path: Path) -> None:
    system = ornstein.build("latent-diffusion", settings=TINY | {"size": 8, "channels": 1})
    tensors = {k: v for k, v in system.modules.state_dict().items() if k != "codec.scale"}
    meta = {"recipe": system.recipe, "config": dataclasses.asdict(system.config)}
    saved = save_checkpoint(tmp_path / "weights", {"model": tensors}, meta)
    with pytest.raises(CheckpointError, match=r"do not fit recipe 'latent-diffusion': 1 differ, first 'codec\.scale'"):
        ornstein.load(saved)
