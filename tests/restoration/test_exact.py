"""Each method against the exact posterior of problems that have one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ornstein.core.rng import Stream
from ornstein.measurements import Mask, Matrix, Measurement
from ornstein.processes import VP
from ornstein.processes.base import GaussianProcess
from ornstein.processes.gaussian import EDM
from ornstein.restoration import METHODS
from ornstein.samplers.base import simulate
from ornstein.samplers.grids import get_grid
from ornstein.testing import exact
from ornstein.testing.exact.mixture import MixtureProblem

N = 1200


def normal(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@dataclass
class Task:
    """A prior, one measurement of it for every draw, and the exact posterior."""

    prior: MixtureProblem
    given: Measurement
    posterior: MixtureProblem

    @classmethod
    def of(cls, prior: MixtureProblem, operator: Mask | Matrix, noise: float, n: int = N) -> Task:
        x = prior.sample(Stream(1), 1)
        y = operator(x)
        y = y + noise * normal(tuple(y.shape), 2)
        if isinstance(operator, Mask):
            y = operator(y)
        one = Measurement(y, operator, noise)
        return cls(prior, Measurement(y.expand(n, *y.shape[1:]), operator, noise), exact.conditioned(prior, one))

    def draws(self, name: str, steps: int, **options: object) -> Tensor:
        p = self.prior.process
        move = METHODS[name].make(self.prior.denoiser, self.given, options)
        grid = get_grid("uniform" if isinstance(p, VP) else "karras")(p, steps, p.t_max, None)
        x = p.prior((len(self.given.y), *self.prior.shape)).sample(Stream(3)).double()
        with torch.no_grad():
            return simulate(move, x, grid, Stream(4))


def correlated(process: GaussianProcess) -> MixtureProblem:
    """One Gaussian in six dimensions with a full covariance."""
    a = normal((6, 6), 5)
    cov = 0.1 * (a @ a.T / 6 + 0.05 * torch.eye(6, dtype=torch.float64))
    return exact.mixture(process, torch.ones(1), normal((1, 6), 6), cov[None])


def moments_error(x: Tensor, problem: MixtureProblem) -> tuple[float, float]:
    """Of the mean, in units of the posterior's root trace, and of the covariance, relative."""
    ref = problem.sample(Stream(7), 50_000)
    cov = torch.cov(ref.T)
    mean = float((x.mean(0) - ref.mean(0)).norm() / cov.trace().sqrt())
    return mean, float((torch.cov(x.T) - cov).norm() / cov.norm())


def test_the_exact_posterior_is_the_priors_under_weights() -> None:
    prior = exact.gmm8(VP())
    task = Task.of(prior, Matrix(torch.tensor([[1.0, 0.4]]), (2,)), 0.3)
    x = prior.sample(Stream(8), 100_000)
    log = -0.5 * (task.given.y[:1] - task.given.operator(x)) ** 2 / 0.3**2
    w = log[:, 0].softmax(0)[:, None]
    mean = (w * x).sum(0)
    ref = task.posterior.sample(Stream(9), 50_000)
    torch.testing.assert_close(mean, ref.mean(0), atol=0.02, rtol=0)
    torch.testing.assert_close((w * (x - mean) ** 2).sum(0), ref.var(0), atol=0.02, rtol=0.03)


@pytest.mark.parametrize("process", [VP(), EDM()], ids=["vp", "edm"])
def test_pigdm_is_exact_for_a_standard_normal(process: GaussianProcess) -> None:
    prior = exact.mixture(process, torch.ones(1), torch.zeros(1, 6), 1.0)
    task = Task.of(prior, Matrix(normal((2, 6), 0), (6,)), 0.3, 2500)
    mean, cov = moments_error(task.draws("pigdm", 200), task.posterior)
    assert mean < 0.04 and cov < 0.08


@pytest.mark.parametrize("process", [VP(), EDM()], ids=["vp", "edm"])
def test_mmps_is_exact_for_any_gaussian(process: GaussianProcess) -> None:
    task = Task.of(correlated(process), Matrix(normal((2, 6), 0), (6,)), 0.3, 2500)
    # What is left is DDIM's own error at eta = 1, of order 1: 0.11 at 200 steps on VP.
    mean, cov = moments_error(task.draws("mmps", 400, solves=2), task.posterior)
    assert mean < 0.04 and cov < 0.08


def modes() -> MixtureProblem:
    """Three modes of unequal weight in four dimensions, of which a measurement leaves two likely."""
    means = torch.tensor([[1.0, 1.0, 0.5, -0.5], [1.0, -1.0, -0.5, 0.5], [-1.0, 0.5, 1.0, 1.0]])
    return exact.mixture(VP(), torch.tensor([0.5, 0.3, 0.2]), means, 0.04)


def shares(x: Tensor, problem: MixtureProblem) -> Tensor:
    """Of each component of the prior among draws."""
    return problem.components(x, 0.0).mean(0)


def test_particles_find_the_weights_of_the_modes() -> None:
    prior = modes()
    task = Task.of(prior, Matrix(torch.tensor([[1.0, 0.2, 0.0, 0.0]]), (4,)), 0.2)
    found = shares(task.draws("particles", 50, count=16, data_var=0.5), prior)
    wanted = shares(task.posterior.sample(Stream(7), 50_000), prior)
    assert 0.2 < float(wanted.max()) < 0.9  # the problem has an answer that is no single mode
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0)


@pytest.mark.parametrize("name", [n for n in METHODS if n not in ("repaint", "ccdf")])
def test_each_method_is_nearer_the_posterior_than_the_prior_is(name: str) -> None:
    prior = modes()
    task = Task.of(prior, Matrix(normal((2, 4), 11), (4,)), 0.1, 400)
    x = task.draws(
        name, METHODS[name].steps if METHODS[name].gradient else 100, **({"zeta": 0.5} if name == "dps" else {})
    )
    ref, plain = task.posterior.sample(Stream(7), 4000), prior.sample(Stream(8), 400)
    residual = float((task.given.residual(x) ** 2).mean().sqrt())
    far = float((task.given.residual(plain) ** 2).mean().sqrt())
    assert (x.mean(0) - ref.mean(0)).norm() < 0.5 * (plain.mean(0) - ref.mean(0)).norm()
    # The step of dps knows nothing of the noise: it ends nearer the measurement, and no more is claimed.
    assert residual < (0.7 if name == "dps" else 0.35) * far


@pytest.mark.parametrize("name", ["repaint", "ccdf", "ddrm", "ddnm"])
def test_known_coordinates_stay(name: str) -> None:
    task = Task.of(modes(), Mask(torch.tensor([1.0, 0.0, 1.0, 0.0])), 0.0, 50)
    x = task.draws(name, 30)
    torch.testing.assert_close(x[:, [0, 2]], task.given.y[:, [0, 2]], atol=1e-9, rtol=0)
    assert float(x[:, [1, 3]].std(0).min()) > 0.02


def test_repainting_again_brings_both_parts_together() -> None:
    prior = modes()
    task = Task.of(prior, Mask(torch.tensor([0.0, 0.0, 1.0, 1.0])), 0.0)
    wanted = task.posterior.sample(Stream(7), 20_000).mean(0)
    once, again = (float((task.draws("repaint", 20, jump=2, repeats=r).mean(0) - wanted).norm()) for r in (1, 8))
    assert again < 0.65 * once


def test_a_chain_from_a_good_guess_comes_closer() -> None:
    """CCDF: from a guess with an error of 0.15, few steps from a middle level end nearer than the guess was."""
    prior = modes()
    x_0 = prior.sample(Stream(1), 300)
    operator = Mask(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    guess = x_0 + 0.15 * normal((300, 4), 3)
    move = METHODS["ccdf"].make(prior.denoiser, Measurement(operator(x_0), operator), {})
    grid = torch.linspace(0.06, 0.0, 11, dtype=torch.float64)
    start = prior.process.marginal(guess, grid[:1]).sample(Stream(5))
    with torch.no_grad():
        near = simulate(move, start, grid, Stream(6))
        far = simulate(move, normal((300, 4), 4), torch.linspace(1, 0, 101, dtype=torch.float64), Stream(6))
    error = [(x - x_0).square().mean().sqrt() for x in (near, guess, far)]
    assert error[0] < 1.3 * error[1] and error[0] < 0.5 * error[2]
