"""Randomness: a sample's draws depend on its own seed and on nothing else."""

from __future__ import annotations

import pytest
import torch

from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng, Stream


def draws(rng: Rng) -> list[torch.Tensor]:
    """A few draws of each kind, in a fixed order."""
    n = len(rng)
    return [
        rng.normal((n, 3, 5)),
        rng.uniform((n,), dtype=torch.float64),
        rng.integers(7, (n, 2)),
        rng.categorical(torch.linspace(0, 1, 4).expand(n, 6, 4)),
        rng.normal((n, 2), dtype=torch.float64),
    ]


@pytest.mark.parametrize("sizes", [[64], [1] * 64, [32, 32], [7, 50, 7], [63, 1]])
def test_splitting_a_batch_changes_no_noise(sizes: list[int]) -> None:
    whole = draws(Rng(range(100, 164)))
    parts, start = [], 100
    for size in sizes:
        parts.append(draws(Rng(range(start, start + size))))
        start += size
    for i, together in enumerate(whole):
        assert torch.equal(torch.cat([p[i] for p in parts]), together)


def test_rows_and_concat_go_on_where_each_sample_was() -> None:
    rng = Rng(range(4))
    first = rng.normal((4, 2))
    part = rng.rows([2, 0]).normal((2, 2))
    joined = Rng.concat([rng.rows([1, 3]), rng.rows([0, 2])])
    second = joined.normal((4, 2))
    plain = Rng(range(4))
    a, b, c = plain.normal((4, 2)), plain.normal((4, 2)), plain.normal((4, 2))
    assert torch.equal(first, a)
    assert torch.equal(part, b[[2, 0]])
    assert torch.equal(second, torch.stack([b[1], b[3], c[0], c[2]]))
    assert joined.seeds == [1, 3, 0, 2]


def test_different_seeds_differ_and_laws_are_right() -> None:
    n = 4000
    rng = Rng(range(n))
    x, u, k = rng.normal((n,), dtype=torch.float64), rng.uniform((n,)), rng.integers(5, (n,))
    assert len(set(x.tolist())) == n
    assert abs(float(x.mean())) < 5 / n**0.5
    assert abs(float(x.var()) - 1) < 5 * (2 / n) ** 0.5
    assert abs(float(u.mean()) - 0.5) < 5 / (12 * n) ** 0.5
    assert 0 <= float(u.min()) <= float(u.max()) < 1
    assert (torch.bincount(k, minlength=5) / n - 0.2).abs().max() < 5 * (0.16 / n) ** 0.5


def test_categorical_draws_follow_the_logits() -> None:
    n, probs = 8000, torch.tensor([0.05, 0.0, 0.35, 0.6])
    counts = torch.bincount(Rng(range(n)).categorical(probs.log().expand(n, 4)), minlength=4) / n
    assert counts[1] == 0
    assert (counts - probs).abs().max() < 5 * (0.25 / n) ** 0.5


def test_a_stream_goes_on_from_its_saved_state() -> None:
    stream = Stream(3)
    stream.normal((5,))
    state = stream.state()
    wanted = stream.normal((4, 2)), stream.uniform((3,))
    other = Stream(99)
    other.restore(state)
    assert torch.equal(other.normal((4, 2)), wanted[0])
    assert torch.equal(other.uniform((3,)), wanted[1])


def test_misuse_is_named() -> None:
    with pytest.raises(UsageError, match="seeds must be >= 0, got -2"):
        Rng([1, -2])
    with pytest.raises(ValueError, match="a batch of 3 from an Rng of 2 seeds"):
        Rng(range(2)).normal((3, 1))
