"""The classifier of noisy images, and the loss that trains it."""

from __future__ import annotations

import math

import pytest
import torch

from ornstein.codecs.base import Identity
from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Stream
from ornstein.networks.classifier import NoisyClassifier
from ornstein.objectives.classifying import Classifying
from ornstein.objectives.times import UniformTimes
from ornstein.processes import VP

X, T = torch.randn(3, 2, 7, 7), torch.tensor([1.0, 500.0, 999.0])


def test_it_starts_undecided_and_hears_the_time() -> None:
    network = NoisyClassifier(channels=2, classes=4)
    assert torch.equal(network(X, T), torch.zeros(3, 4))
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    assert not torch.allclose(network(X, T), network(X, T + 100))


def test_likeness_is_a_cosine() -> None:
    network = NoisyClassifier(channels=2, classes=4, temperature=7.0)
    logits = network(X, T)
    assert logits.shape == (3, 4) and bool((logits.abs() <= 7.0).all())
    with torch.no_grad():
        network.out.weight.mul_(3)
    torch.testing.assert_close(network(X, T), logits)


def test_it_learns_and_rows_without_a_label_do_not_count() -> None:
    torch.manual_seed(0)
    label = torch.arange(16) % 2
    x = label.reshape(-1, 1, 1, 1).float().expand(16, 1, 8, 8) * 2 - 1
    network = NoisyClassifier(channels=1, classes=2, widths=(16, 16))
    objective, rng = Classifying(network, VP(), Identity(), UniformTimes(t_max=0.3)), Stream(0)
    assert float(objective(Batch(x, {"label": label}), rng).value.detach()) == pytest.approx(math.log(2), abs=1e-5)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(20):
        loss = objective(Batch(x, {"label": label}), rng)
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
    assert loss.logs["accuracy"] > 0.9
    assert float(objective(Batch(x, {"label": torch.full((16,), -1)}), rng).value.detach()) == 0


def test_misuse_is_named() -> None:
    with pytest.raises(UsageError, match="at least two classes, got 1"):
        NoisyClassifier(channels=1, classes=1)
    with pytest.raises(UsageError, match="temperature must be positive"):
        NoisyClassifier(channels=1, classes=2, temperature=0.0)
    network = NoisyClassifier(channels=1, classes=2)
    with pytest.raises(UsageError, match="takes 1 channels, got 2"):
        network(X, T)
    with pytest.raises(DataError, match="have no labels"):
        Classifying(network, VP(), Identity(), UniformTimes())(Batch(torch.zeros(2, 1, 8, 8)), Stream(0))
