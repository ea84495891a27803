"""Our own systems as folders that diffusers opens and runs: the same picture from the same noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

import ornstein
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import X0, Eps, LearnedRange, V, Velocity
from ornstein.interop.diffusers import load, save
from ornstein.networks.layers.conditioning import ClassCondition
from ornstein.networks.unet import UNet
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Cosine, Table
from ornstein.recipes.system import System
from ornstein.samplers.table import get


def system(parametrization: Any = None, process: Any = None, classes: tuple[str, ...] = (), **settings: Any) -> System:
    """DDPM's network, small, with random weights in its last layers as well."""
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "widths": (128, 128), "blocks": 1, "attention": (1,), "head": 0, "resample": "conv", "modulation": "shift",
        **settings,
    }  # fmt: skip
    learned = isinstance(parametrization, LearnedRange)
    conditions = (ClassCondition("label", len(classes)),) if classes else ()
    network = UNet(channels=1, out_channels=2 if learned else 1, conditions=conditions, **options)
    with torch.no_grad():
        for p in network.parameters():
            if not p.any():
                p.normal_(0, 0.03)
    base = ornstein.build("ddpm", size=8, settings={"channels": 1, "classes": classes})
    process = process or VP(Table.linear(1000), t_min=1e-3)
    denoiser = Preconditioned(network, process, parametrization or Eps())
    return replace(base, denoiser=denoiser, shape=(1, 8, 8), data_shape=(1, 8, 8), classes=classes, sampler=get("ddim"))


def theirs(
    path: Path, n: int, noise: torch.Tensor, monkeypatch: pytest.MonkeyPatch, again: bool = True
) -> torch.Tensor:
    """``again``: the noise is computed again from the clipped x_0, as it is with us; diffusers asks for that at the call."""
    pipe = diffusers.DDIMPipeline.from_pretrained(path)
    pipe.set_progress_bar_config(disable=True)
    module = __import__(type(pipe).__module__, fromlist=["x"])
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: noise)
    made = pipe(batch_size=n, num_inference_steps=5, output_type="np", use_clipped_model_output=again).images
    return torch.from_numpy(made).permute(0, 3, 1, 2) * 2 - 1


@pytest.mark.parametrize(
    ("parametrization", "settings"),
    [(Eps(), {}), (V(), {"modulation": "scale_shift", "head": 32}), (X0(), {"attention": (0, 1)})],
    ids=["eps", "v", "x_0"],
)
def test_diffusers_draws_the_same_picture(
    parametrization: Any, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = system(parametrization, **settings)
    path = save(made, tmp_path / "m")
    noise = Rng(range(2)).normal((2, 1, 8, 8))
    drawn = theirs(path, 2, noise, monkeypatch)
    # Their steps end at t = 0 and begin at 801 of 1000: the grid of the folder, through our own system.
    grid = load(path).plan(5).grid
    ours = made.sample(2, seed=0, sampler="ddim", grid=grid).tensor
    assert float((ours - drawn).abs().max()) < 2 / 255
    assert float(drawn.std()) > 0.1
    plain = theirs(path, 2, noise, monkeypatch, again=False)
    assert float((load(path).sample(2, steps=5, seed=0).tensor - plain).abs().max()) < 2 / 255


def test_a_class_becomes_part_of_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = system(classes=("cat", "dog"))
    with torch.no_grad():
        made.denoiser.network.conditioning.embedding["label"].weight.mul_(50)  # type: ignore[union-attr, index]
    noise = Rng([0]).normal((1, 1, 8, 8))
    pictures = {}
    for label in (None, "dog"):
        path = save(made, tmp_path / str(label), label=label)
        pictures[label] = theirs(path, 1, noise, monkeypatch)
        grid = load(path).plan(5).grid
        ours = made.sample(1, sampler="ddim", grid=grid, guidance=1.0, label=-1 if label is None else label).tensor
        assert float((ours - pictures[label]).abs().max()) < 2 / 255
    assert float((pictures[None] - pictures["dog"]).abs().max()) > 0.05
    with pytest.raises(UsageError, match="unknown label 'fish'"):
        save(made, tmp_path / "fish", label="fish")


def test_a_learned_variance_and_another_schedule(tmp_path: Path) -> None:
    made = replace(system(LearnedRange(Eps(), 1000), VP(Cosine())), sampler=get("ancestral"))
    path = save(made, tmp_path / "m")
    pipe = diffusers.DDPMPipeline.from_pretrained(path)
    assert pipe.scheduler.config.variance_type == "learned_range"
    t = torch.tensor(0.4, dtype=torch.float64)
    assert float(pipe.scheduler.alphas_cumprod[399]) == pytest.approx(float(made.process.alpha(t)) ** 2, rel=1e-5)
    x = torch.randn(2, 1, 8, 8)
    ours, back = made.denoiser(x, t), load(path).denoiser(x, t)
    torch.testing.assert_close(ours.mean, back.mean, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"patch": 2}, "gathered in 2 x 2 blocks"),
        ({"widths": (32, 64)}, "UNet2DModel has one number for all"),
        ({"resample": "block"}, r"resamples inside residual blocks \(ADM\)"),
        ({"embedding": "fourier"}, "random frequencies"),
        ({"scale_sums": True}, r"DDPM\+\+, NCSN\+\+"),
        ({"blocks": 2, "decoder_attention": "last"}, "attends in some of its blocks only"),
        ({"base": 256}, "convolution has 256 channels and its first level 128"),
    ],
)
def test_what_no_class_can_express_is_said(settings: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match=why):
        save(system(**settings), tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_other_systems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="a MPUNet is none of its architectures"):
        save(ornstein.build("ddpm", size=8), tmp_path / "m")
    with pytest.raises(CapabilityError, match="need a variance-preserving process"):
        save(ornstein.build("flow-matching", size=8), tmp_path / "m")
    with pytest.raises(CapabilityError, match=r"parametrisation Velocity"):
        save(system(Velocity()), tmp_path / "m")
    with pytest.raises(CapabilityError, match="this chain has 100 steps"):
        save(system(process=VP(Table.linear(100))), tmp_path / "m")
