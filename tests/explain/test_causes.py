"""Influence of a condition, counterfactuals, neighbours, gradients by noise level: each where the answer is known."""

from __future__ import annotations

import pytest
import torch

from explain.toys import TOLD, UNTOLD, Says, Scaled, system
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.explain import by_condition, by_guidance, error_by_noise, gradient_by_noise, influence, neighbours
from ornstein.explain.neighbours import verdict


def test_influence_is_the_difference_of_the_answers() -> None:
    found = influence(system(Says()), {"label": "b"}, 2, seed=3)
    apart = 2 * TOLD - UNTOLD
    assert found.rms.shape == (4, 2)
    assert torch.allclose(found.rms, torch.full((4, 2), apart, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(found.maps, torch.full((4, 2, 1, 4, 4), apart), atol=1e-6)
    assert torch.allclose(found.with_it, torch.full((2, 1, 4, 4), 2 * TOLD), atol=1e-6)
    assert torch.allclose(found.without, torch.full((2, 1, 4, 4), UNTOLD), atol=1e-6)


def test_counterfactuals_by_guidance() -> None:
    """The sample is u + w (c - u), so that two strengths lie |w - w'| |c - u| apart."""
    made = by_guidance(system(Says()), (1.0, 2.0, 3.5), 2, conditions={"label": "a"})
    distances = torch.stack([m.distance for m in made])
    expected = torch.tensor([0.0, 1.0, 2.5], dtype=torch.float64)[:, None] * (TOLD - UNTOLD)
    assert torch.allclose(distances, expected.expand(3, 2), atol=1e-6)
    assert [m.changed for m in made] == [1.0, 2.0, 3.5]


def test_counterfactuals_by_label() -> None:
    made = by_condition(system(Says()), "label", ("a", "b"), seed=1)
    assert torch.allclose(made[1].distance, torch.tensor([TOLD], dtype=torch.float64), atol=1e-6)


def test_influence_refuses() -> None:
    with pytest.raises(UsageError, match="give the condition"):
        influence(system(Says()), {})
    with pytest.raises(UsageError, match="takes no conditions"):
        influence(system(Scaled(1.0), ()), {"label": 0})
    with pytest.raises(UsageError, match="at least one strength"):
        by_guidance(system(Says()), ())


def test_the_gradient_of_a_linear_network() -> None:
    r"""out = w x: the loss is mean (w x_t - x_0)^2 and its derivative mean 2 x_t (w x_t - x_0)."""
    w, model = 0.7, system(Scaled(0.7), ())
    x = torch.randint(0, 256, (6, 1, 4, 4), dtype=torch.uint8)
    times = [0.8, 0.3]
    found = gradient_by_noise(model, Batch(x, {}), seed=2, times=times)
    x_0 = x.float() / 127.5 - 1
    for one, t in zip(found, times, strict=True):
        at = expand(torch.tensor(t, dtype=torch.float64), x_0)
        x_t = model.process.marginal(x_0, at).sample(Rng(range(2, 8)))
        apart = w * x_t - x_0
        assert one.norm == pytest.approx(abs(float((2 * x_t * apart).mean())), rel=1e-5)
        assert one.loss == pytest.approx(float(apart.square().mean()), rel=1e-5)
    assert model.denoiser.network.w.grad is None
    errors = error_by_noise(model, Batch(x, {}), seed=2, times=times)
    assert [e.error for e in errors] == pytest.approx([g.loss for g in found], rel=1e-5)


def test_copies_are_found_and_strangers_are_not() -> None:
    train = torch.randint(0, 256, (40, 1, 6, 6), dtype=torch.uint8)
    fresh = torch.randint(0, 256, (3, 1, 6, 6), dtype=torch.uint8)
    nearly = train[[7]].clone()
    nearly[0, 0, 0, 0] ^= 3
    found = neighbours(torch.cat([train[[11]], nearly, fresh]), train, k=3)
    assert found.index[:2, 0].tolist() == [11, 7]
    assert found.copied.tolist() == [True, True, False, False, False]
    assert float(found.distance[0, 0]) < 1e-2
    by_hand = (fresh[0].float() - train.float()).flatten(1).square().mean(1).sqrt()
    assert torch.allclose(found.distance[2], by_hand.sort().values[:3], rtol=1e-4)
    assert verdict(found).startswith("2 of 5 are copies")
    assert verdict(neighbours(fresh, train)).startswith("none of 3")


def test_unseen_data_calibrate_the_test() -> None:
    train, unseen = torch.randn(200, 5), torch.randn(100, 5)
    copied = neighbours(train[:20] + 1e-4, train, unseen=unseen)
    assert copied.test is not None and copied.test.memorised == 1.0
    honest = neighbours(torch.randn(100, 5), train, unseen=unseen)
    assert honest.test is not None and honest.test.memorised < 0.1


def test_neighbours_refuse() -> None:
    train = torch.zeros(4, 1, 2, 2)
    with pytest.raises(UsageError, match=r"k lies in 2 \.\. 4"):
        neighbours(train, train, k=9)
    with pytest.raises(DataError, match="uint8"):
        neighbours(train.to(torch.uint8), train)


def test_a_guided_denoiser_has_no_gradient() -> None:
    import dataclasses

    model = system(Says())
    wrapped = dataclasses.replace(model, denoiser=model.guided(2.0))
    with pytest.raises(CapabilityError, match="regresses no output"):
        gradient_by_noise(wrapped, Batch(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), {"label": torch.zeros(1).long()}))
