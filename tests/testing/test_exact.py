"""The exact problems against automatic differentiation, quadrature and one another."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from ornstein.core.cond import NO_COND
from ornstein.core.distributions import Categorical
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng
from ornstein.processes import EDM, VE, VP, CategoricalProcess, GaussianProcess, SubVP, Torus
from ornstein.samplers import Ancestral, EulerMaruyama, simulate
from ornstein.samplers.grids import uniform
from ornstein.testing import exact
from ornstein.testing.exact import MixtureProblem, Problem
from ornstein.testing.order import exact_law, measured_order, sampled_law
from testing.tables import DISCRETE, PerCoordinate

WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
MEANS = torch.tensor([[-1.0, 0.5], [0.8, -0.2], [0.3, 1.4]], dtype=torch.float64)
FULL = torch.tensor([[[0.3, 0.1], [0.1, 0.2]], [[0.2, -0.15], [-0.15, 0.4]], [[0.1, 0], [0, 0.3]]], dtype=torch.float64)


def problems(process: GaussianProcess) -> dict[str, Problem]:
    """One of each kind on a Gaussian process."""
    diagonal = FULL.diagonal(dim1=1, dim2=2)
    return {
        "gaussian": exact.gaussian(process, torch.tensor([0.7, -0.3]), torch.tensor([0.25, 0.04])),
        "mixture": exact.mixture(process, WEIGHTS, MEANS, torch.tensor([0.1, 0.2, 0.05])),
        "diagonal": exact.mixture(process, WEIGHTS, MEANS, diagonal),
        "full": exact.mixture(process, WEIGHTS, MEANS, FULL),
        "gmm8": exact.gmm8(process),
    }


@pytest.mark.parametrize("process", [VP(), SubVP(), VE(), EDM()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("name", ["gaussian", "mixture", "diagonal", "full", "gmm8"])
def test_posterior_follows_from_the_density(name: str, process: GaussianProcess) -> None:
    """Tweedie, first and second order: score = (alpha E - x)/sigma^2, d score_i/dx_i = (alpha^2 Var_i/sigma^2 - 1)/sigma^2."""
    problem = problems(process)[name]
    for time in (0.05, 0.3, 0.8):
        t = torch.tensor(time, dtype=torch.float64)
        x = process.marginal(problem.sample(Rng(range(6)), 6), t).sample(Rng(range(6))).requires_grad_()
        (score,) = torch.autograd.grad(problem.marginal_log_prob(x, t).sum(), x, create_graph=True)
        alpha, var = process.alpha(t), process.sigma(t) ** 2
        posterior = problem.denoiser(x.detach(), t)
        torch.testing.assert_close(problem.score(x.detach(), t), score.detach(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(posterior.mean, (x + var * score).detach() / alpha, rtol=1e-9, atol=1e-9)
        slope = torch.stack([torch.autograd.grad(score[:, i].sum(), x, retain_graph=True)[0][:, i] for i in (0, 1)], 1)
        torch.testing.assert_close(posterior.var.expand_as(x), (1 + var * slope) * var / alpha**2, rtol=1e-6, atol=1e-9)


def test_full_covariances_of_diagonal_matrices_are_the_diagonal_problem() -> None:
    a = exact.mixture(VP(), WEIGHTS, MEANS, FULL[2:].expand(3, 2, 2))
    b = exact.mixture(VP(), WEIGHTS, MEANS, FULL[2].diagonal().expand(3, 2))
    x = Rng(range(5)).normal((5, 2), dtype=torch.float64)
    for t in (0.0, 0.2):
        torch.testing.assert_close(a.marginal_log_prob(x, t), b.marginal_log_prob(x, t))
    torch.testing.assert_close(a.denoiser(x, torch.tensor(0.2)).mean, b.denoiser(x, torch.tensor(0.2)).mean)


@pytest.mark.parametrize("name", ["mixture", "full", "gmm8"])
def test_density_integrates_to_one(name: str) -> None:
    axis = torch.linspace(-6, 6, 501, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    for t in (0.0, 0.3):
        mass = problems(VP())[name].marginal_log_prob(grid, t).exp().sum() * (axis[1] - axis[0]) ** 2
        assert float(mass) == pytest.approx(1, abs=1e-6)


def test_samples_of_a_full_mixture_have_its_moments() -> None:
    problem = problems(VP())["full"]
    x = problem.sample(Rng(range(20_000)), 20_000)
    mean = (WEIGHTS[:, None] * MEANS).sum(0)
    second = (WEIGHTS[:, None, None] * (FULL + MEANS[:, :, None] * MEANS[:, None, :])).sum(0)
    torch.testing.assert_close(x.mean(0), mean, rtol=0, atol=0.03)
    torch.testing.assert_close(x.T @ x / len(x), second, rtol=0, atol=0.04)


def test_labels_pick_components() -> None:
    problem = problems(VP())["full"]
    assert isinstance(problem, MixtureProblem)
    x, t = Rng(range(4)).normal((4, 2), dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    given = problem.denoiser(x, t, {"label": torch.tensor([0, 1, 2, -1])})
    for i in range(3):
        alone = exact.mixture(VP(), [1.0], MEANS[i : i + 1], FULL[i : i + 1]).denoiser(x[i : i + 1], t)
        torch.testing.assert_close(given.mean[i], alone.mean[0])
        torch.testing.assert_close(given.var[i], alone.var[0])
    torch.testing.assert_close(given.mean[3], problem.denoiser(x, t, NO_COND).mean[3])


def test_flow_transports_the_marginals_and_returns() -> None:
    problem = exact.gaussian(VP(), torch.tensor([0.7, 0.1]), torch.tensor([0.25, 2.0]))
    x = Rng(range(5)).normal((5, 2), dtype=torch.float64)
    y = problem.flow(x, 0.9, 0.2)
    change = problem.marginal_log_prob(x, 0.9) - problem.marginal_log_prob(y, 0.2)
    torch.testing.assert_close(change, problem.flow_log_det(x, 0.9, 0.2))
    torch.testing.assert_close(problem.flow(y, 0.2, 0.9), x)


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.parametrize("times", [(1.0, 0.0), (1.0, 0.81, 0.33, 0.07, 0.0), (0.6, 0.59, 0.0)])
def test_exact_reverse_returns_the_data_on_any_grid(name: str, times: tuple[float, ...]) -> None:
    """Pushing p_t through ``reverse`` with the exact posterior gives p(x_0) to 1e-12, without drawing."""
    process = DISCRETE[name]
    probs = torch.tensor([0.1, 0.4, 0.15, 0.35, 0.0], dtype=torch.float64)
    problem = exact.categorical(process, probs)
    states = torch.arange(5).reshape(5, 1)
    grid = torch.tensor(times, dtype=torch.float64).clamp(max=process.t_max)
    law = problem.marginal(grid[0], states[:1])[0, 0]
    for t, s in pairwise(grid):
        kernel = process.reverse(states, t, s, problem.posterior(states, t)).probs[:, 0]  # row i: from state i
        law = torch.where(law[:, None] > 0, law[:, None] * kernel, 0.0).sum(0)
    torch.testing.assert_close(law, probs, rtol=0, atol=1e-12)


def test_categorical_posterior_and_ratio_agree() -> None:
    problem = exact.categorical(CategoricalProcess.uniform(4), torch.tensor([[1.0, 2, 3, 4], [4, 1, 1, 1]]))
    x = torch.tensor([[0, 3], [2, 1]])
    t = torch.tensor(0.4, dtype=torch.float64)
    posterior = problem.posterior(x, t)
    assert isinstance(posterior, Categorical)
    torch.testing.assert_close(problem.process.ratio(x, t, posterior), problem.score(x, t))
    table = problem.marginal(t, x)[0]
    wanted = table[0, x[:, 0]].log() + table[1, x[:, 1]].log()
    torch.testing.assert_close(problem.marginal_log_prob(x, t), wanted)


def test_a_large_vocabulary_is_corrupted_without_its_table() -> None:
    process = CategoricalProcess.absorbing(50_000)
    x_0 = torch.zeros(8, 64_000, dtype=torch.int64)  # its table would take 200 GB
    law = process.marginal(x_0, torch.tensor(0.25, dtype=torch.float64))
    x_t = law.sample(Rng(range(8)))
    assert float((x_t == 49_999).double().mean()) == pytest.approx(0.25, abs=0.005)
    assert bool(((x_t == 0) | (x_t == 49_999)).all())
    wanted = (x_t == 0).sum(1) * math.log(0.75) + (x_t != 0).sum(1) * math.log(0.25)
    torch.testing.assert_close(law.log_prob(x_t), wanted.double())


@pytest.mark.parametrize("std", [0.05, 0.7, 1.99, 2.01, 4.0])
def test_wrapped_normal_density_and_score(std: float) -> None:
    """Normalised, and equal on both sides of the switch between series to a sum over 200 images."""
    problem = exact.wrapped_normal(Torus(), 2.8, std)
    x = torch.linspace(-math.pi, math.pi, 4001, dtype=torch.float64)[:-1].reshape(-1, 1).requires_grad_()
    log = problem.log_prob(x)
    assert float(log.detach().exp().sum() * 2 * math.pi / 4000) == pytest.approx(1, abs=1e-10)
    images = 2.8 + 2 * math.pi * torch.arange(-100, 101, dtype=torch.float64)
    wanted = torch.logsumexp(-((x - images) ** 2) / (2 * std**2), 1) - math.log(std * math.sqrt(2 * math.pi))
    torch.testing.assert_close(log, wanted, rtol=1e-11, atol=1e-11)
    (score,) = torch.autograd.grad(wanted.sum(), x)
    torch.testing.assert_close(problem.score(x.detach(), 0.0), score, rtol=1e-9, atol=1e-9)


def test_angles_stay_on_the_circle() -> None:
    process = Torus()
    x = torch.tensor([[3.1], [-3.1], [0.0]], dtype=torch.float64)
    dx = torch.tensor([[0.2], [-0.2], [7.0]], dtype=torch.float64)
    turns = torch.tensor([[-1.0], [1.0], [-1.0]], dtype=torch.float64)
    torch.testing.assert_close(process.move(x, dx), x + dx + 2 * math.pi * turns)
    problem = exact.wrapped_normal(process, 3.0, 0.3)
    rng, n = Rng(range(400)), 400
    end = simulate(
        EulerMaruyama(problem.denoiser), process.prior((n, 1)).sample(rng), uniform(process, 60, None, None), rng
    )
    assert float(end.min()) >= -math.pi
    assert float(end.max()) < math.pi
    assert float(torch.complex(end.cos(), end.sin()).mean().angle()) == pytest.approx(3.0, abs=0.08)


def test_ancestral_on_gaussian_data_is_exact_at_any_stride() -> None:
    problem = exact.gaussian(VP(), 0.7, 0.25)
    law = sampled_law(Ancestral(problem.denoiser), problem, torch.tensor([0.9, 0.4, 0.1], dtype=torch.float64))
    assert law.distance(exact_law(problem, 0.1)) < 1e-12
    assert measured_order(Ancestral, problem) == math.inf


def test_the_law_is_what_random_draws_have() -> None:
    """The law that is read off agrees with 20,000 runs."""
    problem = exact.gaussian(VP(), 0.7, 0.25)
    sampler, grid = Ancestral(exact.MeanOnly(problem.denoiser)), torch.linspace(0.9, 0.1, 5, dtype=torch.float64)
    law, n = sampled_law(sampler, problem, grid), 20_000
    start, rng = exact_law(problem, 0.9), Rng(range(n))
    x = simulate(sampler, start.mean + start.std * rng.normal((n, 1), dtype=torch.float64), grid, rng)
    assert abs(float(x.mean() - law.mean)) < 5 * float(law.std) / n**0.5
    assert abs(float(x.std() / law.std) - 1) < 5 / (2 * n) ** 0.5
    assert float((law.std - exact_law(problem, 0.1).std).abs()) > 0.01  # five steps are not exact


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: exact.gaussian(Torus(), 0.0, 1.0), CapabilityError, "GaussianProcess; Torus is not"),
        (lambda: exact.gaussian(VP(), 0.0, -1.0), UsageError, "variance"),
        (lambda: exact.mixture(VP(), [1.0], [[0.0, 0.0]], torch.ones(5, 5)), UsageError, "covariances of shape"),
        (lambda: exact.mixture(VP(), [1.0], [[0.0, 0]], -torch.eye(2)[None]), UsageError, "eigenvalue -1"),
        (lambda: exact.categorical(VP(), torch.ones(3)), CapabilityError, "CategoricalProcess; VP is not"),
        (lambda: exact.categorical(CategoricalProcess.uniform(4), torch.ones(3)), UsageError, "4 weights"),
        (lambda: exact.wrapped_normal(VP()), CapabilityError, "Torus; VP is not"),
        (lambda: CategoricalProcess(torch.tensor([1.0, -1.0])), UsageError, "limit law"),
        (lambda: Torus(sigma_min=4.0), UsageError, "0 < sigma_min < sigma_max, got 4.0"),
    ],
)
def test_what_does_not_fit_is_refused(make: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()  # type: ignore[operator]


def test_full_covariances_need_one_level_for_all_coordinates() -> None:
    problem = exact.mixture(PerCoordinate(), [1.0], [[0.0, 0.0, 0.0]], torch.eye(3)[None])
    with pytest.raises(CapabilityError, match="one alpha and sigma for all coordinates"):
        problem.denoiser(torch.zeros(2, 3), torch.tensor(0.5))
