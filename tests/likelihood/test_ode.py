"""The likelihood by the flow against closed forms."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.core.errors import CapabilityError, OrnsteinError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.denoisers.denoiser import Denoiser
from ornstein.likelihood import ProbabilityFlow, measure
from ornstein.likelihood.rk45 import integrate
from ornstein.processes import EDM, VE, VP, CategoricalProcess, FlowMatching, SubVP
from ornstein.testing import exact

PROCESSES = [VP(), VE(), SubVP(), EDM(), FlowMatching()]
LN2 = math.log(2)


def gaussian(process: torch.nn.Module, dims: int) -> exact.GaussianProblem:
    g = torch.Generator().manual_seed(dims)
    return exact.gaussian(process, torch.randn(dims, generator=g), 0.05 + torch.rand(dims, generator=g))  # type: ignore[arg-type]


def mixture(process: torch.nn.Module, dims: int) -> exact.MixtureProblem:
    g = torch.Generator().manual_seed(dims)
    means = torch.randn(3, dims, generator=g).tolist()
    return exact.mixture(process, [0.3, 0.5, 0.2], means, torch.tensor([0.2, 0.05, 0.5]))  # type: ignore[arg-type]


@pytest.mark.parametrize("dims", [1, 4, 64])
@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_change_of_variables_of_every_sample(process: VP, dims: int) -> None:
    """Against the exact flow and its log-determinant, ending in the prior that sampling starts from."""
    problem = gaussian(process, dims)
    x = problem.sample(Stream(0), 8)
    end = problem.flow(x, 0.0, process.t_max)
    law = process.prior(x.shape)
    truth = law.log_prob(end) + problem.flow_log_det(x, 0.0, process.t_max)
    found = measure(ProbabilityFlow(problem.denoiser, tolerance=1e-6), x, Stream(1))
    assert float((found.nats - truth).abs().max()) / (dims * LN2) < 1e-4
    assert not found.bound and bool((found.noise == 0).all())


# More noise at the end than usual, so that p_T is the prior closely enough: the mean is proven, not the prior's fit.
NOISY = [VP(), VE(0.01, 500.0), SubVP(), EDM(0.002, 800.0), FlowMatching()]


@pytest.mark.parametrize("dims", [1, 2, 8, 64])
@pytest.mark.parametrize("kind", [gaussian, mixture])
@pytest.mark.parametrize("process", NOISY, ids=lambda p: type(p).__name__)
def test_bits_per_dimension(process: VP, kind: type, dims: int) -> None:
    problem = kind(process, dims)
    x = problem.sample(Stream(0), max(8, 1000 // dims**2))
    found = measure(ProbabilityFlow(problem.denoiser, tolerance=1e-4), x, Stream(1))
    truth = float(-problem.log_prob(x).mean()) / (dims * LN2)
    assert abs(found.bits_per_dim - truth) < 1e-3
    assert found.stderr == pytest.approx(float((-problem.log_prob(x) / dims / LN2).std()) / len(x) ** 0.5, rel=0.02)


def test_every_sample_of_a_mixture() -> None:
    """Flow matching ends in its prior exactly, and so not only the mean is right."""
    problem = mixture(FlowMatching(), 3)
    x = problem.sample(Stream(0), 50)
    found = measure(ProbabilityFlow(problem.denoiser), x, Stream(1))
    torch.testing.assert_close(found.nats, problem.log_prob(x), atol=1e-3, rtol=0)


def test_the_label_is_heard() -> None:
    problem = mixture(FlowMatching(), 2)
    x = problem.sample(Stream(0), 6)
    label = torch.tensor([0, 1, 2, 0, -1, -1])
    found = measure(ProbabilityFlow(problem.denoiser), x, Stream(1), {"label": label})
    own = exact.gaussian(FlowMatching(), problem.means[0], problem.eigenvalues[0])
    torch.testing.assert_close(found.nats[:1], own.log_prob(x[:1]), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.nats[4:], problem.log_prob(x[4:]), atol=1e-3, rtol=0)


def test_hutchinson_is_unbiased_and_knows_its_error() -> None:
    """A full covariance, so that the trace is no sum of what a sign probe sees exactly."""
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(3)).double()).Q
    cov = turn @ torch.diag(torch.linspace(0.1, 1.5, 6).double()) @ turn.T
    problem = exact.mixture(FlowMatching(), [1.0], [[0.3] * 6], cov[None])
    x = problem.sample(Stream(0), 100)
    flow = ProbabilityFlow(problem.denoiser, trace="hutchinson", tolerance=1e-4)
    found = measure(flow, x, Stream(1), repeats=8)
    gap = found.bits_per_dim + float(problem.log_prob(x).mean()) / (6 * LN2)
    assert 0 < found.noise_stderr < 0.05
    assert abs(gap) < 4 * found.noise_stderr + 1e-3
    exactly = measure(ProbabilityFlow(problem.denoiser, trace="exact", tolerance=1e-4), x, Stream(1))
    assert exactly.noise_stderr == 0 and float((exactly.nats - problem.log_prob(x)).abs().max()) < 5e-3


def test_many_coordinates_take_the_estimate() -> None:
    flow = ProbabilityFlow(gaussian(VP(), 1).denoiser)
    assert flow.exact_for(torch.zeros(2, 64)) and not flow.exact_for(torch.zeros(2, 65))


def test_a_sample_does_not_depend_on_its_batch() -> None:
    problem = mixture(VP(), 2)
    x = problem.sample(Stream(0), 5)
    flow = ProbabilityFlow(problem.denoiser, trace="hutchinson")
    together = measure(flow, x, Rng(range(5))).nats
    apart = torch.cat([measure(flow, x[i : i + 1], Rng([i])).nats for i in range(5)])
    torch.testing.assert_close(together, apart, atol=1e-10, rtol=0)


def test_fixed_steps_are_of_order_five() -> None:
    def field(a: Tensor, z: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return z * a.cos().unsqueeze(1), a.cos()

    errors = []
    for steps in (4, 8, 16):
        one = torch.ones(1, 1, dtype=torch.float64)
        z, log_det = integrate(field, one, torch.zeros(1).double(), torch.zeros(1).double(), 2.0, steps=steps)
        errors.append(abs(float(z) - math.exp(math.sin(2.0))))
        assert float(log_det) == pytest.approx(math.sin(2.0), abs=1e-5)
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(abs(o - 5) < 0.6 for o in orders), orders


def test_a_tolerance_is_kept() -> None:
    def field(a: Tensor, z: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return z * 30 * (20 * a).cos().unsqueeze(1), torch.zeros_like(a)

    for tolerance in (1e-4, 1e-7):
        start = torch.ones(2, 1, dtype=torch.float64)
        z, _ = integrate(
            field, start, torch.zeros(2).double(), torch.tensor([0.0, 0.5]).double(), 1.0, tolerance=tolerance
        )
        truth = torch.tensor([1.5 * math.sin(20), 1.5 * (math.sin(20) - math.sin(10))]).double().exp()
        assert float((z.flatten() / truth - 1).abs().max()) < 100 * tolerance


class Broken(Denoiser):
    """NaN below a time."""

    def __init__(self, below: float):
        super().__init__()
        self.process, self.below = VP(), below

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        return Dirac(torch.where(t < self.below, torch.nan, 0.5) * x_t)


def test_misuse_is_named() -> None:
    problem = gaussian(VP(), 2)
    x = problem.sample(Stream(0), 2)
    tokens = exact.categorical(CategoricalProcess.uniform(3), torch.ones(2, 3))
    with pytest.raises(CapabilityError, match=r"needs a process that is Affine; CategoricalProcess is not.*'discrete'"):
        ProbabilityFlow(tokens.denoiser)
    with pytest.raises(UsageError, match="unknown trace 'exacto'"):
        ProbabilityFlow(problem.denoiser, trace="exacto")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="tolerance must be positive, got 0"):
        measure(ProbabilityFlow(problem.denoiser, tolerance=0.0), x, Stream(0))
    with pytest.raises(UsageError, match="steps must be at least 1, got 0"):
        measure(ProbabilityFlow(problem.denoiser, steps=0), x, Stream(0))
    with pytest.raises(UsageError, match="repeats must be at least 1, got 0"):
        measure(ProbabilityFlow(problem.denoiser), x, Stream(0), repeats=0)
    with pytest.raises(OrnsteinError, match=r"finite numbers in samples \[0, 1\] at angle"):
        measure(ProbabilityFlow(Broken(0.5)), x, Stream(0))
