"""Processes that stop on a target set: exact laws of bridges, and what cannot be meant."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import ornstein
from ornstein.codecs.base import Identity
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Score
from ornstein.core.errors import CapabilityError, DataError, OrnsteinError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.signs import EndsNetwork
from ornstein.objectives.first_hitting import BridgeMatching
from ornstein.objectives.times import UniformTimes
from ornstein.processes import VP, bessel
from ornstein.processes.first_hitting import FirstHittingBits, FirstHittingSphere, Signs
from ornstein.samplers import Ancestral, FirstHitting, simulate
from ornstein.testing import exact

GRID = torch.linspace(1e-4, 1, 401, dtype=torch.float64)


@pytest.mark.parametrize("duration", [0.01, 0.0499, 0.0501, 0.2999, 0.3001, 1.0])
def test_the_bessel_law_is_a_law_and_both_sums_agree(duration: float) -> None:
    a, d = torch.full_like(GRID, 0.4), torch.full_like(GRID, duration)
    total, density = bessel.law(a, GRID, d)
    torch.testing.assert_close(torch.cumulative_trapezoid(density, GRID), total[1:] - total[0], rtol=0, atol=1e-4)
    many = bessel._images(a, GRID, d, 6)
    torch.testing.assert_close(total, many[0].clamp(0, 1), rtol=0, atol=1e-12)
    torch.testing.assert_close(density, many[1].clamp_min(0), rtol=0, atol=1e-10)


def test_kernels_of_the_bessel_process_compose() -> None:
    """Chapman-Kolmogorov by quadrature: from 0.3 through every place at 0.04 to 0.1."""
    short, rest = (torch.full_like(GRID, d) for d in (0.04, 0.06))
    _, middle = bessel.law(torch.full_like(GRID, 0.3), GRID, short)
    at = torch.full_like(GRID, 0.6)
    onward = bessel.law(GRID, at, rest)[1]
    once = bessel.law(torch.tensor([0.3]).double(), torch.tensor([0.6]).double(), torch.tensor([0.1]).double())[1]
    assert float(torch.trapezoid(middle * onward, GRID)) == pytest.approx(float(once), rel=1e-5)


def test_draws_invert_the_distribution_function() -> None:
    u = torch.linspace(0.001, 0.999, 200, dtype=torch.float64)
    for duration in (1e-3, 0.1, 0.5):
        a, d = torch.full_like(u, 0.5), torch.full_like(u, duration)
        x = bessel.step(a, d, u)
        alive = x < 1
        torch.testing.assert_close(bessel.law(a, x, d)[0][alive], u[alive], rtol=0, atol=1e-9)
        assert bool((u[~alive] >= bessel.law(a, torch.ones_like(a), d)[0][~alive]).all())
    assert bool((bessel.step(a, torch.full_like(u, torch.inf), u) == 1).all())


def test_the_walk_without_an_end_in_view_is_brownian() -> None:
    """Over both ends, weighted by how likely they are, z has mean ``begin`` and stops in time 1 - begin^2 on average."""
    process, n = FirstHittingBits(0.4), 5000
    ends = torch.where(Stream(0).uniform((n, 1)) < 0.7, 1.0, -1.0)
    for time in (0.8, 0.3, 0.02):
        t = torch.tensor(time, dtype=torch.float64)
        z = process.marginal(ends, t).sample(Stream(1))
        assert abs(float(z.mean()) - 0.4) < 0.05  # four standard errors
    clock = torch.linspace(1e-3, 1, 50, dtype=torch.float64)
    alive = torch.stack([(process.marginal(ends[:2000], t).sample(Stream(2)).abs() < 1).double().mean() for t in clock])
    assert float(torch.trapezoid(alive / clock, clock)) == pytest.approx(1 - 0.4**2, abs=0.06)


def test_ancestral_draws_the_words_of_correlated_bits() -> None:
    probs = torch.tensor([0.5, 0.02, 0.08, 0.4])
    problem = exact.bits(FirstHittingBits(), probs)
    start = problem.process.prior((4000, 2)).sample(Stream(0))
    x = simulate(
        Ancestral(problem.denoiser), start, torch.cat([torch.linspace(1, 1e-3, 50), torch.zeros(1)]), Stream(1)
    )
    assert bool((x.abs() == 1).all())
    found = ((x > 0).long() << torch.arange(2)).sum(1).bincount(minlength=4) / len(x)
    assert float((found - probs).abs().max()) < 0.03


def test_the_sphere_is_left_by_poissons_kernel() -> None:
    """Over uniform ends a point of the ball has no direction, and given the end its mean lies along it."""
    process, n = FirstHittingSphere(), 10_000
    ends = torch.nn.functional.normalize(Stream(0).normal((n, 3), dtype=torch.float64), dim=1)
    t = torch.tensor(0.8, dtype=torch.float64)
    z = process.marginal(ends, t).sample(Stream(1))
    duration = -math.log(0.8)
    alive = 2 * sum((-1) ** (k + 1) * math.exp(-(k**2) * math.pi**2 * duration / 2) for k in range(1, 40))
    inside = z.norm(dim=1) < 1 - 1e-9  # what has stopped may be off by rounding
    assert abs(float(inside.double().mean()) - alive) < 0.02
    # Coordinates are harmonic: from r theta the mean end is r theta, hence E[z . y] = E[r^2].
    along = (z * ends).sum(1)[inside]
    assert float(along.mean()) == pytest.approx(float(z[inside].square().sum(1).mean()), abs=0.015)
    assert float(z.mean(0).abs().max()) < 0.025


def test_the_spheres_drift_is_the_gradient_of_poissons_kernel() -> None:
    process = FirstHittingSphere()
    y = torch.tensor([[0.0, 0.6, 0.8]], dtype=torch.float64)
    z = torch.tensor([[0.3, -0.2, 0.4]], dtype=torch.float64, requires_grad=True)
    log_h = torch.log(1 - z.square().sum(1)) - 3 * torch.log((z - y).norm(dim=1))
    (wanted,) = torch.autograd.grad(log_h.sum(), z)
    torch.testing.assert_close(process.pull(z.detach(), Dirac(y)), wanted)


class Ends(torch.nn.Module):
    """What the exact law adds to a bit's own word, with an error added."""

    def __init__(self, problem: Any, off: float):
        super().__init__()
        self.problem, self.off = problem, off

    def forward(self, x: torch.Tensor, t: torch.Tensor, cond: Cond = NO_COND) -> torch.Tensor:
        z = x.chunk(2, 1)[0]
        return self.problem.posterior(z, 0.5).logits - self.problem.process.prior_logits(z) + self.off


def test_bridge_matching_is_least_at_the_posterior() -> None:
    problem = exact.bits(FirstHittingBits(0.1), torch.tensor([0.5, 0.02, 0.08, 0.4]))
    batch = Batch(problem.sample(Stream(0), 4000).float())
    networks = [EndsNetwork(Ends(problem, off), problem.process) for off in (-0.3, 0.0, 0.3)]
    losses = [float(BridgeMatching(n, Identity(), UniformTimes())(batch, Stream(1)).value) for n in networks]
    assert losses[1] < min(losses[0], losses[2])


def test_signs_have_their_mean_and_law() -> None:
    law = Signs(torch.full((4000, 2), 0.8))
    x = law.sample(Stream(0))
    assert abs(float(x.mean()) - math.tanh(0.4)) < 0.03 and bool((x.abs() == 1).all())
    assert float(law.log_prob(torch.ones(4000, 2))[0]) == pytest.approx(2 * math.log(1 / (1 + math.exp(-0.8))))


class Away(Denoiser):
    """A drift that never lets a point reach the sphere."""

    process = FirstHittingSphere()

    def forward(self, x_t: torch.Tensor, t: torch.Tensor, cond: Cond = NO_COND) -> Any:
        return Score(-200 * x_t)


def test_samples_that_never_hit_are_not_rounded() -> None:
    with pytest.raises(OrnsteinError, match="2 samples have not hit the target after 20 steps"):
        simulate(FirstHitting(Away(), most=20), torch.zeros(2, 3), torch.tensor([1.0, 0.0]), Rng([0, 1]))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: FirstHittingBits(1.0), UsageError, r"begin must lie inside \(-1, 1\)"),
        (lambda: FirstHittingSphere(1), UsageError, "two points, FirstHittingBits"),
        (lambda: FirstHittingSphere(4), UsageError, "3 dimensions, not in 4"),
        (lambda: FirstHittingBits().marginal(torch.tensor([[0.5]]), torch.tensor(0.5)), DataError, "-1 and 1"),
        (lambda: FirstHittingSphere().marginal(torch.ones(1, 3), torch.tensor(0.5)), DataError, "0.732 off it"),
        (lambda: FirstHittingSphere().marginal(torch.ones(1, 4), torch.tensor(0.5)), DataError, r"\[B, 3, ...\]"),
        (lambda: FirstHitting(Away(), last=0.0), UsageError, "last"),
        (lambda: FirstHitting(exact.gaussian(VP()).denoiser), CapabilityError, "HittingDrift; VP is not"),
        (lambda: EndsNetwork(torch.nn.Identity(), VP()), CapabilityError, "need FirstHittingBits, got VP"),
        (lambda: exact.bits(FirstHittingBits(), torch.ones(3)), UsageError, r"2\^d entries"),
    ],
)
def test_what_cannot_be_meant(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 9}, r"bits must lie in 1 \.\. 8"),
        ({"begin": -1.0}, "begin must lie inside"),
        ({"sampling_steps": 0}, "sampling_steps"),
    ],
)
def test_configs_that_cannot_be_meant(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ornstein.build("first-hitting-diffusion", settings={"size": 8, "widths": (64,), **settings})
