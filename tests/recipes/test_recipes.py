"""Every recipe builds, trains, is saved, is loaded, and samples."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ornstein
from ornstein.core.batch import Batch
from ornstein.core.rng import Stream
from ornstein.data import Images
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import LogitNormal, UniformTimes
from ornstein.recipes import registry
from ornstein.recipes.images.flow_matching import FlowMatching

IMAGES = [card.name for card in registry.cards().values() if card.area == "images"]
SMALL: dict[str, Any] = {"widths": (64,), "blocks": 1, "patch": 2, "batch": 8}
SMALL_OF: dict[str, dict[str, Any]] = {
    "dit": {"width": 64, "head": 32, "depth": 2, "patch": 2, "batch": 8},
    "baseline-flow": {"width": 16, "depth": 1, "batch": 8},
    "baseline-gan": {"widths": (8,), "critic_widths": (8,), "batch": 8},
    "baseline-vae": {"widths": (8,), "batch": 8},
}
"""Recipes whose networks have other sizes."""


def squares(n: int = 32) -> Images:
    """Bright squares of two sizes on black: two classes."""
    x = np.zeros((n, 1, 8, 8), np.uint8)
    labels = np.arange(n) % 2
    for i, label in enumerate(labels):
        x[i, 0, 2 : 5 + label, 2 : 5 + label] = 200 + i % 50
    return Images(x, labels, ("small", "large"), "squares")


STAGED = {"imagebart", "latent-diffusion"}
"""Recipes of several stages: tests/recipes/test_latent_diffusion.py and test_imagebart.py."""
SETS = {"fsdm"}
"""Told a class by examples of it, in place of its name, which training looks up: tests/recipes/test_few_shot.py."""
BASELINES = {"baseline-flow", "baseline-gan", "baseline-vae"}
"""Unconditional, with losses of their own: tests/recipes/test_baselines.py says more."""


@pytest.mark.parametrize("name", [n for n in IMAGES if n not in STAGED])
def test_train_save_load_sample(name: str, tmp_path: Path) -> None:
    trained, result = ornstein.train(
        name, data=squares(), out=tmp_path / "run", settings=SMALL_OF.get(name, SMALL), steps=2
    )
    assert result.step == 2 and np.isfinite(result.loss)
    loaded = ornstein.load(tmp_path / "run")
    assert loaded.config == trained.config and loaded.classes == (
        () if name in BASELINES | SETS else ("small", "large")
    )
    a, b = (s.sample(3, steps=2, seed=4).tensor for s in (trained, loaded))
    assert torch.equal(a, b) and a.shape == (3, 1, 8, 8) and bool(torch.isfinite(a).all())
    assert float(a.abs().max()) <= 1


MOVING = {"consistency-improved", "consistency-models", "edm2", "heavy-tailed-dsm", "meanflow", "shortcut"}
"""Recipes whose target moves with the network, whose loss is normalised, or whose targets are mostly noise (signs):
there the loss need not fall so far. Their checks say more."""


FLOOR = {"cld": 0.9, "flexible-diffusion": 0.9, "first-hitting-diffusion": 0.8, "sohl-dickstein": 0.9, "vdm": 0.8}
"""Losses with a part that no network removes fall less than the others, which must fall below 0.7 of the first."""


@pytest.mark.parametrize("name", [n for n in IMAGES if n not in MOVING | STAGED | BASELINES | SETS])
def test_training_learns(name: str) -> None:
    """The loss over many fixed draws falls well below that of the untrained network, which predicts 0."""
    settings = {**SMALL_OF.get(name, SMALL), "warmup": 5, "lr": 1e-2, "precision": "fp32", "decay": "constant"}
    system = ornstein.build(name, data=squares(), settings=settings)
    stage = next(system.stages(_Repeat(squares())))
    update = stage.updates[0]
    optimizer, rng = update.optimizer.build(update.params), Stream(0)
    batch = next(iter(_Repeat(squares())))
    big = Batch(batch.x.repeat(8, 1, 1, 1), {k: v.repeat(8) for k, v in batch.cond.items()})

    @torch.no_grad()
    def loss() -> float:
        system.modules.eval()
        return float(update.objective(big, Stream(1)).value)

    before = loss()
    for _ in range(30):
        system.modules.train()
        optimizer.zero_grad()
        update.objective(batch, rng).value.backward(inputs=update.params)
        optimizer.step()
    assert loss() < FLOOR.get(name, 0.7) * before


class _Repeat:
    """The same batch for ever."""

    def __init__(self, images: Images):
        assert images.labels is not None
        self.batch = Batch(torch.from_numpy(images.x), {"label": torch.from_numpy(images.labels)})

    def __iter__(self):  # type: ignore[no-untyped-def]
        while True:
            yield self.batch

    def state(self) -> dict[str, int]:
        return {}

    def restore(self, state: dict[str, int]) -> None:
        return None


def test_ddim_samples_ddpms_weights() -> None:
    ddpm = ornstein.build("ddpm", settings={**SMALL, "size": 8, "channels": 1})
    ddim = ornstein.build("ddim", settings={**SMALL, "size": 8, "channels": 1})
    ddim.modules.load_state_dict(ddpm.modules.state_dict())
    same = ddpm.sample(2, steps=5, sampler="ddim")
    assert torch.equal(ddim.sample(2, steps=5).tensor, same.tensor)
    assert not torch.equal(ddpm.sample(2, steps=5).tensor, same.tensor)


def test_ddpms_full_chain_visits_every_step() -> None:
    system = ornstein.build("ddpm", settings={**SMALL, "size": 8, "channels": 1, "chain": 20, "sampling_steps": 20})
    _, times, _ = system.prepare(None, None, None, None)
    torch.testing.assert_close(times, torch.arange(20, -1, -1).double() / 20, rtol=0, atol=1e-15)


def test_a_shorter_chain_ends_in_noise() -> None:
    """The pitfall of shortening T: without larger betas, signal is left at its end."""
    for chain in (50, 200, 1000):
        system = ornstein.build("ddpm", settings={**SMALL, "size": 8, "chain": chain, "sampling_steps": 10})
        assert float(system.process.alpha(torch.tensor(1.0, dtype=torch.float64))) < 0.01


@pytest.mark.parametrize(("times", "law"), [("uniform", UniformTimes), ("logit_normal", LogitNormal)])
def test_flow_matchings_law_of_times(times: str, law: type) -> None:
    config = dataclasses.replace(FlowMatching(), times=times)
    assert isinstance(config.law(), law)
    system = ornstein.build("flow-matching", settings={**SMALL, "size": 8, "times": times})
    (stage,) = system.stages(_Repeat(squares()))
    objective = stage.updates[0].objective
    assert isinstance(objective, Denoising) and isinstance(objective.times, law)
