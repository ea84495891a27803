"""The test bed of the checks is itself exact: Tweedie's formula against derivatives of the density."""

from __future__ import annotations

import pytest
import torch

from ornstein.core.rng import Stream
from ornstein.processes import EDM, VP, FlowMatching, GaussianProcess
from ornstein.recipes.checks.flow_matching import log_likelihood
from ornstein.recipes.checks.toys import MLP, ExactDenoiser, Mixture, Points, sliced_wasserstein


@pytest.mark.parametrize("process", [VP(), EDM(), FlowMatching()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("t", [0.005, 0.3, 0.9])
def test_posterior_against_derivatives(process: GaussianProcess, t: float) -> None:
    r"""E[x_0] = (x + sigma^2 d log p)/alpha and Var[x_0] = sigma^2 (1 + sigma^2 d^2 log p)/alpha^2."""
    data = Mixture.ring(modes=3, std=0.2)
    time = torch.tensor(t, dtype=torch.float64)
    alpha, sigma = process.alpha(time), process.sigma(time)
    x = process.marginal(data.sample(50, Stream(0)), time).sample(Stream(1)).requires_grad_()

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        return data.log_prob(x, float(alpha), float(sigma))

    (score,) = torch.autograd.grad(log_prob(x).sum(), x)
    hessian = torch.stack(
        [torch.autograd.functional.hessian(lambda y: log_prob(y[None])[0], row) for row in x.detach()]
    )
    posterior = ExactDenoiser(process, data)(x.detach(), time)
    torch.testing.assert_close(posterior.mean, (x.detach() + sigma**2 * score) / alpha, rtol=1e-8, atol=1e-8)
    curvature = hessian.diagonal(dim1=1, dim2=2)
    scale = float((sigma / alpha) ** 2)  # both sides lose this much to cancellation
    want = sigma**2 * (1 + sigma**2 * curvature) / alpha**2
    torch.testing.assert_close(posterior.var, want, rtol=1e-7, atol=1e-12 * max(scale, 1) + 1e-10)


def test_density_integrates_to_one() -> None:
    axis = torch.linspace(-3, 3, 601, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    total = Mixture.ring(modes=3, std=0.2).log_prob(points, 0.8, 0.1).exp().sum() * 0.01**2
    assert abs(float(total) - 1) < 1e-6


def test_samples_follow_the_density() -> None:
    data = Mixture.ring(std=0.1)
    x = data.sample(100_000, Stream(0))
    assert float(x.mean(0).abs().max()) < 0.01
    # Per coordinate: half the squared radius, plus the variance of a mode.
    torch.testing.assert_close(x.var(0), torch.full((2,), 0.72 + 0.01, dtype=torch.float64), rtol=0.01, atol=0)


def test_sliced_wasserstein_of_a_shift() -> None:
    """Moving everything by d costs sqrt(E (u.d)^2) = |d|/sqrt(2) in the plane."""
    x = Stream(0).normal((1000, 2))
    assert sliced_wasserstein(x, x.flip(0)) == 0
    assert abs(sliced_wasserstein(x, x + torch.tensor([3.0, 4.0])) - 5 / 2**0.5) < 1e-5


def test_likelihood_by_the_flow() -> None:
    data = Mixture.ring(modes=3, std=0.2)
    x = data.sample(20, Stream(0))
    found = log_likelihood(ExactDenoiser(FlowMatching(), data), x, steps=200)
    torch.testing.assert_close(found, data.log_prob(x), rtol=0, atol=1e-4)


def test_points_resume() -> None:
    data = Mixture.ring()
    stream = iter(whole := Points(data, 4, 3))
    first, second = next(stream), next(stream)
    assert whole.state() == {"given": 2} and not torch.equal(first.x, second.x)
    later = Points(data, 4, 3)
    later.restore({"given": 1})
    assert torch.equal(next(iter(later)).x, second.x)


def test_mlp_shapes() -> None:
    net = MLP()
    assert net(torch.zeros(5, 2), torch.full((5,), 500.0)).shape == (5, 2)
