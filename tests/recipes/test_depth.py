"""Guidance by depth: layers that are read, the two losses and their gradients, the recipe, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.codecs.base import Scale
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Stream
from ornstein.core.tapping import run_tapped
from ornstein.data import Images
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.depth import DepthHeads
from ornstein.denoisers.parametrizations import X0
from ornstein.guidance.depth import DepthAware
from ornstein.networks.pixel_head import PixelHead
from ornstein.objectives.depth import ReadingDepth, depth_of
from ornstein.objectives.times import DiscreteTimes
from ornstein.processes import VP
from ornstein.recipes import house
from ornstein.recipes.guidance.dag import heads_on
from ornstein.recipes.system import System

TINY: dict[str, Any] = {
    "size": 8, "channels": 1, "widths": (16, 16), "blocks": 1, "patch": 1, "precision": "fp32", "batch": 8,
}  # fmt: skip


class Two(nn.Module):
    """Two layers of one channel: a x, and b a x, the output."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.one.weight, 2.0)
        nn.init.constant_(self.two.weight, 0.25)

    def forward(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        out: Tensor = self.two(self.one(x))
        return out


class Multiple(nn.Module):
    """A head that reads a multiple of the first layer it is given."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, features: list[Tensor], t: Tensor) -> Tensor:
        return self.factor * features[0]


def pair(strong: float, weak: float) -> tuple[Preconditioned, DepthHeads]:
    """A denoiser of E[x_0] = x/2 and heads that read strong x and weak x."""
    denoiser = Preconditioned(Two(), VP(), X0())
    heads = heads_on(denoiser, (1, 2, 2), ("one", "two"), ("two",))
    heads.strong, heads.weak = Multiple(strong / 2), Multiple(2 * weak)
    heads.trained.fill_(True)
    return denoiser, heads


def test_layers_are_read_while_the_network_runs() -> None:
    net, x = Two(), torch.ones(1, 1, 2, 2)
    out, (one,) = run_tapped(net, ["one"], lambda: net(x, torch.zeros(1), {}))
    assert float(out[0, 0, 0, 0].detach()) == 0.5 and float(one[0, 0, 0, 0].detach()) == 2.0
    assert not net.one._forward_hooks, "nothing stays behind"
    with pytest.raises(CapabilityError, match="layer 'two' of Two gave no picture"):
        run_tapped(net, ["two"], lambda: net.one(x))


def test_the_gradient_stops_at_the_strong_reading() -> None:
    """d_S = 3x, d_W = x: grad |sg(3x) - x|^2 = -2 (3x - x) = -4x, and 8x were the strong reading moved too."""
    denoiser, heads = pair(3.0, 1.0)
    x, t = torch.full((2, 1, 2, 2), 0.5), torch.tensor(0.3, dtype=torch.float64)
    plain = denoiser(x, t).mean
    guided = DepthAware(denoiser, heads, None, consistency=0.1)(x, t).mean
    p = VP()
    expected = plain + float(p.sigma(t) ** 2 / p.alpha(t)) * 0.1 * 4 * x
    torch.testing.assert_close(guided, expected)
    late = DepthAware(denoiser, heads, None, consistency=0.1, until=0.2)(x, t).mean
    torch.testing.assert_close(late, plain)
    torch.testing.assert_close(DepthAware(denoiser, heads, None, consistency=0.0)(x, t).mean, plain)


def test_the_prior_pulls_the_strong_reading_to_where_depth_is() -> None:
    """For depth that is 0 everywhere, eps = d_t/sigma and the loss is (alpha/sigma)^2 |d_S|^2, whatever the noise."""

    class Zero(nn.Module):
        def forward(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
            return 0 * x

    denoiser, heads = pair(3.0, 3.0)
    zero = Preconditioned(Zero(), VP(), X0())
    guided = DepthAware(denoiser, heads, zero, consistency=0.0, prior=0.2, level=0.4)
    x, t = torch.full((2, 1, 2, 2), 0.5), torch.tensor(0.3, dtype=torch.float64)
    p, at = VP(), torch.tensor(0.4, dtype=torch.float64)
    factor = float((p.alpha(at) / p.sigma(at)) ** 2) * 2 * 9
    expected = denoiser(x, t).mean - float(p.sigma(t) ** 2 / p.alpha(t)) * 0.2 * factor * x
    torch.testing.assert_close(guided(x, t).mean, expected, rtol=1e-4, atol=1e-5)
    # The noise depends on t alone: a row's guidance is the same in any batch.
    torch.testing.assert_close(guided(x[:1], t).mean, guided(x, t).mean[:1])


def test_heads_learn_and_the_denoiser_does_not() -> None:
    denoiser = Preconditioned(Two(), VP(), X0())
    heads = heads_on(denoiser, (1, 4, 4), ("one", "two"), ("two",))
    with pytest.raises(UsageError, match="heads that read depth were not trained"):
        heads.require()
    objective = ReadingDepth(heads, denoiser, Scale(), DiscreteTimes(100))
    x = torch.randint(0, 256, (8, 1, 4, 4), dtype=torch.uint8)
    batch = Batch(x, {"depth": x.long()})
    loss = objective(batch, Stream(0))
    loss.value.backward(inputs=list(heads.parameters()))
    assert all(p.grad is None for p in denoiser.parameters()) and all(p.grad is not None for p in heads.parameters())
    heads.require()
    torch.testing.assert_close(depth_of(batch), x.float() / 127.5 - 1)


def scenes(n: int = 16) -> Images:
    x = np.random.default_rng(0).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)
    return Images(x, conds={"depth": x}, name="scenes")


def test_trained_in_three_stages_saved_loaded_and_guided(tmp_path: Path) -> None:
    settings = {k: v for k, v in TINY.items() if k not in ("size", "channels")} | {"head_share": 0.25}
    trained, result = ornstein.train("dag", data=scenes(), out=tmp_path / "run", settings=settings, steps=4)
    loaded = ornstein.load(tmp_path / "run")
    assert result.step == 4 and math.isfinite(result.loss)
    a, b = (s.sample(2, steps=3, seed=1).tensor for s in (trained, loaded))
    plain = loaded.sample(2, steps=3, seed=1, guidance=0.0).tensor
    assert torch.equal(a, b) and not torch.equal(a, plain)
    alone = loaded.sample(1, steps=3, seed=2).tensor
    torch.testing.assert_close(alone, a[1:], atol=1e-5, rtol=0)


def built(**settings: Any) -> System:
    return house.build("dag", settings={**TINY, **settings})


def test_all_blocks_are_read_unless_layers_are_named() -> None:
    heads = built().extra["heads"]
    assert isinstance(heads, DepthHeads)
    assert heads.names == (tuple(f"decoder.{i}" for i in range(7)), ("decoder.3",))
    named = built(strong=("decoder.6",), weak=("decoder.0", "decoder.1")).extra["heads"]
    assert isinstance(named, DepthHeads) and named.names == (("decoder.6",), ("decoder.0", "decoder.1"))


def test_what_depth_refuses() -> None:
    with pytest.raises(UsageError, match=r"MPUNet has no layer 'decoder.99': did you mean 'decoder"):
        built(strong=("decoder.99",))
    with pytest.raises(UsageError, match="name at least one layer of Two to read"):
        heads_on(Preconditioned(Two(), VP(), X0()), (1, 4, 4), ("one",), ())
    for name, value, words in (
        ("consistency", -1.0, "consistency, a weight, must be finite and at least 0, got -1"),
        ("prior", float("nan"), "prior, a weight, must be finite and at least 0, got nan"),
        ("guidance", float("inf"), "guidance must be finite and at least 0"),
        ("level", 0.0, r"level lies in \(0, 1\]"),
    ):
        with pytest.raises(UsageError, match=words):
            built(**{name: value})
    denoiser, heads = pair(1.0, 1.0)
    with pytest.raises(UsageError, match="consistency, a weight, must be finite and at least 0, got inf"):
        DepthAware(denoiser, heads, None, consistency=float("inf"))
    with pytest.raises(UsageError, match="needs a denoiser of depth maps"):
        DepthAware(denoiser, heads, None, prior=1.0)
    with pytest.raises(UsageError, match="the heads that read depth were not trained"):
        built().sample(1, steps=1)
    x = torch.zeros(2, 1, 4, 4)
    for cond, words in (
        ({}, "these data have no 'depth'"),
        ({"depth": torch.zeros(2, 1, 3, 4)}, r"depth is \[2, 1, 4, 4\], got \(2, 1, 3, 4\)"),
        ({"depth": torch.full((2, 1, 4, 4), 3.0)}, r"floats in \[-1, 1\]; got torch.float32 from 3 to 3"),
    ):
        with pytest.raises(DataError, match=words):
            depth_of(Batch(x, cond))
    with pytest.raises(UsageError, match=r"reads layers of \(1, 2\) channels, got \[1\]"):
        PixelHead((1, 2), (4, 4))([torch.zeros(1, 1, 4, 4)], torch.zeros(1))
