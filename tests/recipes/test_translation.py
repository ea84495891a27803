"""Unpaired translation: its losses and maps, the pairs that it draws, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.codecs.base import Identity
from ornstein.codecs.side_by_side import SideBySide
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.data import Images
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.joint import Joint
from ornstein.denoisers.parametrizations import Eps
from ornstein.networks.translator import Translator
from ornstein.objectives.times import DiscreteTimes
from ornstein.objectives.unpaired import PATIENCE, Crossing, Paired, by_domain
from ornstein.processes import VE, VP
from ornstein.recipes import house
from ornstein.recipes.checks.told import ToldMLP
from ornstein.recipes.translation import Translation, carried
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import simulate
from ornstein.samplers.conditioned_part import ConditionedPart
from ornstein.testing import exact

TINY: dict[str, Any] = {
    "size": 8, "channels": 1, "widths": (16,), "blocks": 1, "patch": 1, "translator_width": 8, "translator_blocks": 1,
    "batch": 8, "precision": "fp32",
}  # fmt: skip


def built(**settings: Any) -> Translation:
    system = house.build("unit-ddpm", settings={**TINY, **settings})
    assert isinstance(system, Translation)
    for name, p in system.denoiser.named_parameters():
        if name.endswith("out_gain"):
            nn.init.normal_(p)  # at 0 the network says nothing, whatever it is told
    return system


def domains(n: int = 16) -> Images:
    """Dark and bright squares, in turn."""
    x = np.random.default_rng(0).integers(0, 90, (n, 1, 8, 8), dtype=np.uint8)
    x[1::2] += 150
    return Images(x, np.arange(n) % 2, ("dark", "bright"))


def test_each_row_goes_to_its_own_function() -> None:
    x, domain = torch.arange(5.0)[:, None], torch.tensor([0, 1, 1, 0, 1])
    out = by_domain([lambda v: 10 * v, lambda v: -v], domain, x)
    assert out.flatten().tolist() == [0, -1, -2, 30, -4]


def test_who_is_moved_by_which_loss() -> None:
    """The denoisers' loss leaves the maps alone; that of the maps goes through the denoisers and back."""
    torch.manual_seed(0)
    process = VP()
    nets = [Preconditioned(ToldMLP((2,), "other", (2,), width=16), process, Eps()) for _ in range(2)]
    across = [nn.Linear(2, 2), nn.Linear(2, 2)]
    parts = (nets, across, Identity(), DiscreteTimes(100))
    batch = Batch(torch.randn(6, 2), {"label": torch.tensor([0, 0, 0, 1, 1, 1])})
    weights = [p for net in nets for p in net.parameters()]
    maps = [p for g in across for p in g.parameters()]
    first = Paired(*parts)(batch, Stream(0))
    assert all(g is None for g in torch.autograd.grad(first.value, maps, allow_unused=True, retain_graph=True))
    assert all(bool(g.any()) for g in torch.autograd.grad(first.value, weights))
    second = Crossing(*parts)(batch, Stream(0))
    assert all(bool(g.any()) for g in torch.autograd.grad(second.value, maps))
    # Maps that undo each other have no cycle loss, and the rest does not depend on its weight.
    across[0].load_state_dict({"weight": 2 * torch.eye(2), "bias": torch.ones(2)})
    across[1].load_state_dict({"weight": 0.5 * torch.eye(2), "bias": torch.full((2,), -0.5)})
    strong, weak = Crossing(*parts, cycle=10.0)(batch, Stream(1)), Crossing(*parts, cycle=0.0)(batch, Stream(1))
    assert strong.logs["cycle"] < 1e-6
    torch.testing.assert_close(strong.value, weak.value)


def test_both_states_are_noised_to_the_same_level_by_noises_of_their_own() -> None:
    seen = []

    class Keep(nn.Module):
        def forward(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
            seen.append((x, cond["other"], t))
            return x

    nets = [Preconditioned(Keep(), VP(), Eps()) for _ in range(2)]
    x = torch.zeros(4000, 1)
    label = torch.arange(4000) // 2000
    Paired(nets, [nn.Identity(), nn.Identity()], Identity(), DiscreteTimes(20))(Batch(x, {"label": label}), Stream(0))
    x_t, other, t = (torch.cat(parts) for parts in zip(*seen, strict=True))
    early = (t - 50).abs() < 1
    sigma = float(VP().sigma(torch.tensor(0.05).double()))
    assert int(early.sum()) > 100 and sigma < 0.4
    assert all(abs(float(v[early].std()) / sigma - 1) < 0.25 for v in (x_t, other))
    assert abs(float(torch.corrcoef(torch.stack([x_t, other]).squeeze())[0, 1])) < 0.1


def test_a_domain_without_pictures_is_noticed() -> None:
    nets = [Preconditioned(ToldMLP((2,), "other", (2,), width=8), VP(), Eps()) for _ in range(2)]
    objective = Paired(nets, [nn.Identity(), nn.Identity()], Identity(), DiscreteTimes(10))
    half = Batch(torch.zeros(PATIENCE // 2, 2), {"label": torch.zeros(PATIENCE // 2, dtype=torch.int64)})
    objective(half, Stream(0))
    with pytest.raises(DataError, match=f"last {PATIENCE} samples held none of domain 1: it is empty"):
        objective(half, Stream(0))
    for cond in ({}, {"label": torch.tensor([0, 1, 2])}):
        with pytest.raises(DataError, match="between two domains: give data of two classes"):
            objective(Batch(torch.zeros(3, 2), cond), Stream(0))


def test_a_joint_denoiser_of_independent_parts_is_exact() -> None:
    """Each part keeps the law of its own data; the given part is what was given, or near it after the release."""
    a, b = (exact.gaussian(VP(), torch.tensor([m]).double(), torch.tensor([0.01]).double()) for m in (-1.0, 1.0))
    joint = Joint(a.denoiser, b.denoiser)
    given, times = torch.full((400, 1), -1.05).double(), torch.linspace(1, 0, 60).double()
    made = carried(joint, given, 1, times, Stream(0))
    assert made.shape == (400, 1) and abs(float(made.mean()) - 1) < 0.02 and abs(float(made.std()) - 0.1) < 0.02
    known, mask = torch.cat([given, given], 1), torch.tensor([True, False])
    x = VP().prior((400, 2)).sample(Stream(1)).double()
    held = simulate(ConditionedPart(Ancestral(joint), known, mask), x, times, Stream(2))
    free = simulate(ConditionedPart(Ancestral(joint), known, mask, release=1.0), x, times, Stream(2))
    assert torch.equal(held[:, :1], given)
    assert abs(float(free[:, 0].mean()) + 1) < 0.02 and abs(float(free[:, 0].std()) - 0.1) < 0.02
    with pytest.raises(CapabilityError, match="one process for both, got VP and VE"):
        Joint(a.denoiser, exact.gaussian(VE(), torch.zeros(1), torch.ones(1)).denoiser)
    with pytest.raises(UsageError, match=r"release, .* lies in \[0, 1\], got 1.5"):
        ConditionedPart(Ancestral(joint), known, mask, release=1.5)


def test_pairs_side_by_side_come_back() -> None:
    codec, x = SideBySide(), torch.rand(2, 3, 4, 8) * 2 - 1
    state = codec.encode(x, Rng([0, 1]))
    assert state.shape == (2, 6, 4, 4) and torch.equal(state[:, :3], x[..., :4])
    assert torch.equal(codec.decode(state), x)


def test_trained_saved_loaded_and_translating(tmp_path: Path) -> None:
    settings = {k: v for k, v in TINY.items() if k not in ("size", "channels")} | {"release": 20}
    trained, result = ornstein.train("unit-ddpm", data=domains(), out=tmp_path / "run", settings=settings, steps=2)
    loaded = ornstein.load(tmp_path / "run")
    assert isinstance(trained, Translation) and isinstance(loaded, Translation) and np.isfinite(result.loss)
    assert loaded.domains == ("dark", "bright") and loaded.release == 0.02
    assert loaded.sample(2, steps=2).tensor.shape == (2, 1, 8, 16)
    x = torch.rand(3, 1, 8, 8) * 2 - 1
    both = [s.translated(x, "bright", steps=3, seed=4) for s in (trained, loaded)]
    assert torch.equal(both[0].tensor, both[1].tensor) and both[0].tensor.shape == x.shape
    alone = loaded.translated(x[1:2], "bright", steps=3, seed=5)
    torch.testing.assert_close(alone.tensor, both[1].tensor[1:2], atol=1e-5, rtol=0)
    assert both[0].provenance["to"] == "bright" and both[0].images[0].size == (8, 8)


def test_what_translation_refuses() -> None:
    system = built(classes=("day", "night"))
    with pytest.raises(UsageError, match="unknown domain 'nihgt': did you mean 'night'"):
        system.translated(torch.zeros(1, 1, 8, 8), "nihgt")
    with pytest.raises(UsageError, match=r"release in \[0, 1\] and steps >= 1, got 1.2 and 100"):
        system.translated(torch.zeros(1, 1, 8, 8), "night", release=1.2)
    with pytest.raises(DataError, match=r"translates floats \(1, 8, 8\), got \(3, 8, 8\)"):
        system.translated(torch.zeros(1, 3, 8, 8), "night")
    with pytest.raises(DataError, match=r"lie in \[-1, 1\]; these reach 255"):
        system.translated(torch.full((1, 1, 8, 8), 255.0), "night")
    with pytest.raises(UsageError, match="between two domains; the data have 3 classes"):
        built(classes=("a", "b", "c"))
    for name, value, words in (
        ("release", 1001, r"release must lie in 0 \.\. 1000 \(the chain\), got 1001"),
        ("cycle", -1.0, "cycle, a weight, must be at least 0, got -1.0"),
        ("translator_halvings", 4, "a size of 8 cannot be halved 4 times"),
        ("chain", 1, "chain must be at least 2"),
    ):
        with pytest.raises(UsageError, match=words):
            built(**{name: value})
    with pytest.raises(UsageError, match="takes multiples of 4, got 6 x 8"):
        Translator(1, 8, 2, 1)(torch.zeros(1, 1, 6, 8))
    with pytest.raises(UsageError, match="a translator needs channels, width and blocks >= 1"):
        Translator(1, 0)
