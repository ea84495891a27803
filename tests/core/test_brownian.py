"""A Brownian path: its law, its consistency over grids, and the same path at any number of steps of any sampler."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ornstein.core.brownian import Brownian
from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng
from ornstein.processes import VP
from ornstein.samplers import DDIM, Ancestral, DenoisingSampler, EulerMaruyama, simulate
from ornstein.testing import exact


def increments(rng: Brownian, times: list[float], shape: tuple[int, ...] = (3,)) -> list[Tensor]:
    """W over each step of a decreasing list of times, not normalised."""
    x = torch.zeros(len(rng), *shape, dtype=torch.float64)
    return [rng.between(x, *torch.tensor([t, s], dtype=torch.float64)) * (t - s) ** 0.5 for t, s in pairwise(times)]


@pytest.mark.parametrize(
    ("fine", "coarse"),
    [
        ([1.0, 0.75, 0.5, 0.25, 0.0], [1.0, 0.5, 0.0]),
        ([0.93, 0.5123, 0.031, 0.0017, 2.5e-5], [0.93, 0.031, 2.5e-5]),
        ([0.3, 0.2999, 0.2998], [0.3, 0.2998]),
    ],
)
def test_increments_add_up(fine: list[float], coarse: list[float]) -> None:
    small, large = increments(Brownian([3, 8]), fine), increments(Brownian([3, 8]), coarse)
    assert torch.allclose(sum(small), sum(large), atol=1e-12)  # type: ignore[arg-type]
    assert not torch.allclose(large[0][0], large[0][1]), "two seeds have two paths"


def test_the_law_is_that_of_brownian_motion() -> None:
    """Increments over four steps: variance of each its length, none correlated with another."""
    times = [1.0, 0.61803, 0.3, 0.0123, 0.0]
    path, x = Brownian([5]), torch.zeros(1, 40_000, dtype=torch.float64)
    z = torch.stack([path.between(x, *torch.tensor([t, s], dtype=torch.float64))[0] for t, s in pairwise(times)])
    covariance = z @ z.T / z.shape[1]
    assert (covariance - torch.eye(4).double()).abs().max() < 5 * (2 / 40_000) ** 0.5
    assert z.mean(1).abs().max() < 5 / 200


def test_the_path_belongs_to_the_seed_and_to_nothing_else() -> None:
    rng, x = Brownian(range(4)), torch.zeros(4, 2)
    t, s = torch.tensor([[0.9], [0.8], [0.7], [0.6]]), torch.tensor([[0.5], [0.4], [0.3], [0.2]])
    whole = rng.between(x, t, s)
    rng.normal((4, 2))  # other draws do not move the path
    assert torch.equal(rng.between(x, t, s), whole)
    part = rng.rows([2, 0])
    assert isinstance(part, Brownian)
    assert torch.equal(part.between(x[:2], t[[2, 0]], s[[2, 0]]), whole[[2, 0]])
    joined = Rng.concat([rng.rows([3]), rng.rows([1])])
    assert torch.equal(joined.between(x[:2], t[[3, 1]], s[[3, 1]]), whole[[3, 1]])
    assert torch.equal(rng.between(x.double(), t, s).float(), whole), "float32 and float64 meet the same noise"


def test_other_draws_are_those_of_a_plain_rng() -> None:
    assert torch.equal(Brownian([7]).normal((1, 5)), Rng([7]).normal((1, 5)))


@pytest.mark.parametrize(
    "kind", [Ancestral, EulerMaruyama, lambda d: DDIM(d, eta=1.0)], ids=["ancestral", "em", "ddim"]
)
def test_one_path_at_any_number_of_steps(kind: type[DenoisingSampler]) -> None:
    """10, 20, 40 .. steps on one path approach its limit; with fresh noise they would not approach anything."""
    problem = exact.gmm8(VP(), std=0.25)
    n = 32

    def end(steps: int, rng: Rng, sampler: DenoisingSampler) -> Tensor:
        x = problem.process.prior((n, 2)).sample(Rng(range(n))).double()
        return simulate(sampler, x, torch.linspace(0.7, 0.1, steps + 1), rng)

    mean = exact.MeanOnly(problem.denoiser)
    limit = end(320, Brownian(range(n)), Ancestral(mean))
    errors = [float((end(k, Brownian(range(n)), kind(mean)) - limit).square().mean().sqrt()) for k in (10, 20, 40)]
    for coarse, fine in pairwise(errors):
        assert fine < 0.65 * coarse, f"strong order 1 halves the error: {errors}"
    fresh = [float((end(k, Rng(range(n)), kind(mean)) - limit).square().mean().sqrt()) for k in (10, 40)]
    assert fresh[1] > 0.7 * fresh[0] > 3 * errors[2]


def test_generators_of_two_kinds_do_not_mix() -> None:
    with pytest.raises(UsageError, match="different kinds cannot share a batch: Brownian, Rng"):
        Rng.concat([Rng([0]), Brownian([1])])


@pytest.mark.parametrize(
    ("t", "s", "words"),
    [(1.5, 0.5, "asked for 0.5 to 1.5"), (0.5, 0.5, "asked for 0.5 to 0.5"), (0.5, 0.49999, "does not resolve")],
)
def test_increments_that_a_path_does_not_have(t: float, s: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Brownian([0]).between(torch.zeros(1, 1), torch.tensor(t), torch.tensor(s))


def test_rows_that_do_not_ask_draw_nothing() -> None:
    rng, x = Rng(range(3)), torch.zeros(3, 2)
    first = rng.normal_where(x, torch.tensor([True, False, True]))
    second = rng.normal_where(x, torch.tensor([True, True, True]))
    plain = Rng(range(3))
    a, b = plain.normal((3, 2)), plain.normal((3, 2))
    assert torch.equal(first[[0, 2]], a[[0, 2]]) and torch.equal(first[1], x[1])
    assert torch.equal(second, torch.stack([b[0], a[1], b[2]]))
