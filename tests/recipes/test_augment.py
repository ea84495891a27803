"""EDM's augmentation in recipes: told to the network, resumed exactly, and absent from samples."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.cond import Cond
from ornstein.core.conditions import ClassCondition, VectorCondition
from ornstein.core.errors import CheckpointError, UsageError
from ornstein.core.rng import Stream
from ornstein.data import EDMAugment, Images, Loader
from ornstein.networks.mp_unet import MPUNet
from ornstein.networks.unet import UNet
from ornstein.training import load_checkpoint

SMALL = {"widths": (16,), "blocks": 1, "batch": 8, "warmup": 1, "augment": 0.5, "cond_dropout": 0.4}


def pictures() -> Images:
    """Grey pictures in two classes, dark above and light below."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 100, (40, 1, 8, 8), dtype=np.uint8)
    x[:, :, 4:] += 150
    return Images(x, np.arange(40) % 2, ("a", "b"), "halves")


class Shown(nn.Module):
    """In place of a network: keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[Cond] = []

    def forward(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        self.seen.append(dict(cond))
        return x * self.weight


def test_the_label_reaches_the_network_and_is_never_dropped() -> None:
    system = ornstein.build("edm", data=pictures(), settings=SMALL)
    shown = system.denoiser.network = Shown()  # type: ignore[assignment]
    loader = Loader(pictures(), 8, 0, augment=EDMAugment(0.5))
    (stage,) = system.stages(loader)
    rng = Stream(0)
    batches: Iterator[Batch] = islice(stage.data, 20)
    told = []
    for batch in batches:
        stage.updates[0].objective(batch, rng)
        told.append(batch.cond["augment"])
    seen = torch.cat([cond["augment"] for cond in shown.seen])
    assert torch.equal(seen, torch.cat(told)) and not seen.isnan().any()
    assert (seen != 0).any(0).all()  # all nine numbers are used
    labels = torch.cat([cond["label"] for cond in shown.seen])
    assert 0.2 < (labels < 0).double().mean() < 0.6  # dropped once, not as one of several conditions


def test_samples_are_drawn_as_not_augmented() -> None:
    """Guided or not, what the network is told amounts to zeros."""
    system = ornstein.build("edm", data=pictures(), settings=SMALL)
    with torch.no_grad():
        for p in system.denoiser.parameters():
            if p.ndim == 0:
                p.fill_(0.5)  # an untrained embedding's gain is zero
    x, t = torch.randn(3, 1, 8, 8), torch.rand(3)
    network = system.denoiser.network  # type: ignore[union-attr]
    plain = network(x, t, {"label": torch.tensor([0, 1, 0])})
    zeros = network(x, t, {"label": torch.tensor([0, 1, 0]), "augment": torch.zeros(3, 9)})
    moved = network(x, t, {"label": torch.tensor([0, 1, 0]), "augment": torch.eye(3, 9)})
    twice = network(x, t, {"label": torch.tensor([0, 1, 0]), "augment": 2 * torch.eye(3, 9)})
    assert torch.equal(plain, zeros)
    assert not torch.equal(zeros, moved) and not torch.equal(moved, twice)  # how much, not only what
    shown = system.denoiser.network = Shown()  # type: ignore[assignment,union-attr]
    system.sample(4, steps=2, guidance=2.0)
    assert all("augment" not in cond or not cond["augment"].nan_to_num().any() for cond in shown.seen)


@pytest.mark.parametrize("kind", [MPUNet, UNet])
def test_nothing_given_adds_nothing(kind: type[nn.Module]) -> None:
    """Zeros, missing rows, a missing name: one and the same to every network."""
    torch.manual_seed(0)
    told = (ClassCondition("label", 2), VectorCondition("augment", 9, plain=True))
    network = kind(channels=1, widths=(16,), blocks=1, attention=(), head=8, conditions=told)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.3 * torch.randn_like(p))  # networks begin by ignoring their conditions
    network.eval()
    x, t, label = torch.randn(2, 1, 8, 8), torch.rand(2), torch.tensor([0, 1])
    outs = [network(x, t, {"label": label, **more}) for more in ({}, {"augment": torch.zeros(2, 9)})]
    outs.append(network(x, t, {"label": label, **conditions.null({"augment": torch.ones(2, 9)})}))
    assert torch.equal(outs[0], outs[1]) and torch.equal(outs[0], outs[2])
    assert not torch.allclose(outs[0], network(x, t, {"label": label, "augment": torch.ones(2, 9)}))


@pytest.mark.slow
def test_a_model_learns_to_leave_it_out(tmp_path: Path) -> None:
    """Pictures dark above, turned and mirrored in training: the samples are all upright, the training batches are not."""
    settings = {"widths": (64,), "blocks": 1, "batch": 32, "lr": 1e-2, "warmup": 10, "steps": 1200, "augment": 0.5}
    settings |= {"ema_half_life": 2000, "classes": (), "precision": "fp32"}
    told, _ = ornstein.train("edm", data=pictures(), out=tmp_path / "told", settings=settings)
    assert upright(told.sample(64, steps=8).tensor) > 0.97
    turned = torch.cat([batch.x for batch in islice(Loader(pictures(), 32, 0, augment=EDMAugment(0.5)), 8)])
    assert upright(turned.float()) < 0.9


def upright(x: Tensor) -> float:
    """The share of pictures that are darker above than below."""
    return float((x[:, :, 6:].mean((1, 2, 3)) > x[:, :, :2].mean((1, 2, 3))).double().mean())


def test_it_resumes_in_the_same_bits(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    ornstein.train("edm", data=pictures(), out=whole, settings=SMALL, steps=6)
    ornstein.train("edm", data=pictures(), out=broken, settings=SMALL, steps=2, workers=2)
    ornstein.train("edm", data=pictures(), out=broken, settings=SMALL, steps=6)
    a, b = (load_checkpoint(run / "checkpoints" / "step-0000006").parts for run in (whole, broken))
    for part in ("model", "ema", "optimizer"):
        assert all(torch.equal(a[part][k], b[part][k]) for k in a[part]), part
    with pytest.raises(CheckpointError, match=r"started with augment=0.5 and cannot go on with 0.25"):
        ornstein.train("edm", data=pictures(), out=broken, settings=SMALL | {"augment": 0.25}, steps=8)


@pytest.mark.parametrize("chance", [-0.1, 1.5])
def test_a_chance_that_is_none(chance: float) -> None:
    with pytest.raises(UsageError, match=r"augment, a probability, must lie in \[0, 1\]"):
        ornstein.build("edm", settings={"augment": chance})
