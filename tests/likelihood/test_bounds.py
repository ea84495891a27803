"""The bounds against the truth: tight where theory says so, never above it beyond their error."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.likelihood import (
    ChainBound,
    Dequantised,
    JumpBound,
    LogitNormal,
    PathWeights,
    ProbabilityFlow,
    Uniform,
    VariationalBound,
    fit_dequantisation,
    measure,
)
from ornstein.likelihood.decoder import Bins, log_mass
from ornstein.likelihood.result import Likelihood
from ornstein.processes import EDM, VE, VP, CategoricalProcess, FlowMatching, SubVP
from ornstein.testing import exact

LN2 = math.log(2)
PROCESSES = [VP(), VE(), SubVP(), EDM(), FlowMatching()]
LIMITS = [
    CategoricalProcess.uniform(4),
    CategoricalProcess.absorbing(4),
    CategoricalProcess(torch.tensor([0.1, 0.2, 0.3, 0.4])),
]


def mixture(process: VP, dims: int) -> exact.MixtureProblem:
    g = torch.Generator().manual_seed(dims)
    return exact.mixture(process, [0.4, 0.6], torch.randn(2, dims, generator=g).tolist(), torch.tensor([0.3, 0.6]))


def tokens(process: CategoricalProcess) -> exact.CategoricalProblem:
    probs = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
    if bool((process.limit == 0).any()):
        probs[:, -1] = 0  # data hold no mask
    return exact.categorical(process, probs)


def gap(found: Likelihood, truth: Tensor) -> float:
    """How far the bound lies above the truth, in bits per dimension: never below 0, but for noise."""
    return found.bits_per_dim + float(truth.mean()) / (found.dims * LN2)


@pytest.mark.parametrize("dims", [1, 64])
@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_continuous_time_is_tight_under_the_exact_denoiser(process: VP, dims: int) -> None:
    problem = mixture(process, dims)
    x = problem.sample(Stream(0), 2000 // dims + 100)
    found = measure(VariationalBound(exact.MeanOnly(problem.denoiser)), x, Stream(1), repeats=40)
    assert found.noise_stderr < 0.05
    assert abs(gap(found, problem.log_prob(x))) < 4 * found.noise_stderr + 1e-3


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_a_wrong_denoiser_pays_for_it(process: VP) -> None:
    """The bound under another law's denoiser lies above the truth, by more than its noise."""
    problem, other = mixture(process, 2), exact.gaussian(process, [0.5, -0.5], [2.0, 2.0])  # type: ignore[arg-type]
    x = problem.sample(Stream(0), 1000)
    found = measure(VariationalBound(other.denoiser), x, Stream(1), repeats=20)
    assert gap(found, problem.log_prob(x)) > 4 * found.noise_stderr
    chain = measure(ChainBound(exact.MeanOnly(other.denoiser), 20), x, Stream(1), repeats=40)
    assert gap(chain, problem.log_prob(x)) > 4 * chain.noise_stderr


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_chain_with_the_exact_posterior_is_exact_at_any_length(steps: int) -> None:
    """Gaussian data: the reverse kernel is Gaussian, and log w is log p on every single path."""
    problem = exact.gaussian(FlowMatching(t_max=0.9999), torch.tensor([0.4, -1.0]), torch.tensor([0.5, 0.1]))
    x = problem.sample(Stream(0), 50)
    weights = measure(PathWeights(problem.denoiser, steps), x, Stream(1), repeats=2)
    torch.testing.assert_close(weights.nats, problem.log_prob(x), atol=2e-3, rtol=0)
    bound = measure(ChainBound(problem.denoiser, steps), x, Stream(1), repeats=400)
    assert abs(gap(bound, problem.log_prob(x))) < 4 * bound.noise_stderr + 1e-3


@pytest.mark.parametrize("process", LIMITS, ids=["uniform", "absorbing", "skewed"])
def test_discrete_states(process: CategoricalProcess) -> None:
    """Independent coordinates: the chain is exact path by path, both bounds are tight."""
    problem = tokens(process)
    x = problem.sample(Stream(0), 300)
    truth = problem.log_prob(x)
    weights = measure(PathWeights(problem.denoiser, 5), x, Stream(1), repeats=2)
    torch.testing.assert_close(weights.nats, truth, atol=1e-9, rtol=0)
    for found in (
        measure(ChainBound(problem.denoiser, 6), x, Stream(1), repeats=60),
        measure(JumpBound(problem.denoiser), x, Stream(1), repeats=60),
    ):
        assert 0 < found.noise_stderr < 0.05
        assert abs(gap(found, truth)) < 4 * found.noise_stderr


@pytest.mark.parametrize("process", LIMITS, ids=["uniform", "absorbing", "skewed"])
def test_discrete_states_under_a_wrong_denoiser(process: CategoricalProcess) -> None:
    problem = tokens(process)
    wrong = exact.categorical(
        process, torch.cat([torch.ones(5, 3), torch.full((5, 1), float(problem.probs[0, 3] > 0))], 1)
    )
    x = problem.sample(Stream(0), 500)
    # The wrong model's own law is known too: independent and uniform over the values.
    model = wrong.log_prob(x)
    for found in (
        measure(ChainBound(wrong.denoiser, 6), x, Stream(1), repeats=60),
        measure(JumpBound(wrong.denoiser), x, Stream(1), repeats=60),
    ):
        assert abs(gap(found, model)) < 4 * found.noise_stderr
        assert gap(found, problem.log_prob(x)) > 4 * found.noise_stderr


def test_importance_weights_tighten_the_bound() -> None:
    problem = mixture(FlowMatching(t_max=0.999), 1)
    x = problem.sample(Stream(0), 400)
    paths = PathWeights(exact.MeanOnly(problem.denoiser), 6)
    found = [measure(paths, x, Stream(1), repeats=k, importance=True) for k in (1, 10, 100)]
    gaps = [gap(f, problem.log_prob(x)) for f in found]
    assert gaps[0] > gaps[1] + 0.02 > gaps[2] + 0.02
    plain = measure(paths, x, Stream(1), repeats=100)
    assert gap(plain, problem.log_prob(x)) > gaps[2] + 0.05
    assert found[2].bound and gaps[2] > -4 * found[2].noise_stderr


def rounded(n: int, width: float = 1.0) -> tuple[exact.GaussianProblem, Tensor, Tensor]:
    """A Gaussian rounded to integers, and the exact probability of each."""
    problem = exact.gaussian(FlowMatching(), torch.tensor([3.4]), torch.tensor([0.5]))
    k = problem.sample(Stream(0), n).round().long()
    std = 0.5**0.5
    return problem, k, log_mass((k - 0.5 - 3.4) / std, (k + 0.5 - 3.4) / std).flatten()


def identity(v: Tensor) -> tuple[Tensor, Tensor]:
    return v, torch.zeros(len(v), dtype=torch.float64)


def test_dequantisation_bounds_the_probability() -> None:
    problem, k, truth = rounded(400)
    uniform = Dequantised(ProbabilityFlow(problem.denoiser, tolerance=1e-4), Uniform(), identity)
    plain = measure(uniform, k, Stream(1), repeats=10)
    weighted = measure(uniform, k, Stream(1), repeats=10, importance=True)
    assert plain.bound and weighted.bound
    assert gap(plain, truth) > 0.02 > gap(weighted, truth) > -4 * weighted.noise_stderr


def test_learned_noise_is_tighter_than_uniform() -> None:
    problem, k, truth = rounded(2000)
    noise = LogitNormal(nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 2)), levels=8)
    learned = Dequantised(VariationalBound(problem.denoiser), noise, identity)
    fit_dequantisation(learned, [k] * 200, Stream(1), lr=2e-2)
    flow = ProbabilityFlow(problem.denoiser, tolerance=1e-4)
    some, p = k[:500], truth[:500]
    after = measure(Dequantised(flow, noise, identity), some, Stream(2), repeats=6)
    uniform = measure(Dequantised(flow, Uniform(), identity), some, Stream(2), repeats=6)
    assert -4 * after.noise_stderr < gap(after, p) < 0.5 * gap(uniform, p)


def test_the_law_of_learned_noise_is_normalised() -> None:
    layer = nn.Linear(1, 2)
    nn.init.zeros_(layer.weight)
    layer.bias.data = torch.tensor([0.3, -0.2])
    noise = LogitNormal(layer)
    with torch.no_grad():
        u, log_q = noise.draw(torch.full((200_000, 1), 7), Stream(0))
    # E_q[1/q] is the length of (0, 1); heavy-tailed at the ends, and so only there is a little missing.
    inside = ((u > 0.02) & (u < 0.98)).flatten()
    assert float((-log_q[inside]).exp().sum() / len(u)) == pytest.approx(0.96, abs=0.02)


def test_bins_sum_to_one_and_do_not_cancel() -> None:
    x = torch.linspace(-1, 1, 5).double().reshape(-1, 1)
    bins, problem = Bins(0.5, -1, 1), exact.gaussian(VP(), 0.3, 0.2)
    t = torch.tensor(0.5, dtype=torch.float64)
    posterior = problem.posterior(torch.full((5, 1), 0.1).double(), t)
    assert float(bins.log_prob(x, problem.process, t, posterior).exp().sum()) == pytest.approx(1, abs=1e-12)
    far = log_mass(torch.tensor([30.0, -31.0]).double(), torch.tensor([31.0, -30.0]).double())
    assert bool(far.isfinite().all()) and float(far[0]) == pytest.approx(float(far[1]))


def test_draws_depend_on_their_own_seed() -> None:
    problem = mixture(VP(), 2)
    x = problem.sample(Stream(0), 4)
    bound = VariationalBound(problem.denoiser)
    together = measure(bound, x, Rng(range(4)), repeats=2).nats
    apart = torch.cat([measure(bound, x[i : i + 1], Rng([i]), repeats=2).nats for i in range(4)])
    torch.testing.assert_close(together, apart)


def test_the_reported_error_is_the_spread() -> None:
    problem = mixture(VP(), 2)
    x = problem.sample(Stream(0), 20)
    found = [measure(VariationalBound(problem.denoiser), x, Stream(i), repeats=8) for i in range(60)]
    spread = float(torch.tensor([f.bits_per_dim for f in found]).std())
    claimed = sum(f.noise_stderr for f in found) / 60
    assert 0.6 * claimed < spread < 1.5 * claimed


def test_misuse_is_named() -> None:
    words, points = tokens(LIMITS[0]), mixture(VP(), 2)
    with pytest.raises(CapabilityError, match="VariationalBound needs a process that is GaussianProcess; Categorical"):
        VariationalBound(words.denoiser)
    with pytest.raises(CapabilityError, match=r"JumpBound needs a process that is Rate; VP is not.*'ode' and 'vlb'"):
        JumpBound(points.denoiser)
    with pytest.raises(CapabilityError, match="no importance-weighted bound"):
        measure(VariationalBound(points.denoiser), torch.zeros(1, 2), Stream(0), importance=True)
    with pytest.raises(UsageError, match="steps must be at least 1, got 0"):
        ChainBound(points.denoiser, 0)
    with pytest.raises(DataError, match="dequantisation takes integers, got"):
        measure(Dequantised(ProbabilityFlow(points.denoiser), Uniform(), identity), torch.zeros(1, 2), Stream(0))
    with pytest.raises(UsageError, match="Uniform has nothing to learn; take LogitNormal"):
        fit_dequantisation(Dequantised(VariationalBound(points.denoiser), Uniform(), identity), [], Stream(0))
