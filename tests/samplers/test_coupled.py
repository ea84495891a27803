"""SSCS, gDDIM and the process of critically-damped Langevin diffusion against matrix exponentials and quadrature."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from ornstein.codecs.base import Identity
from ornstein.codecs.velocity import WithVelocity
from ornstein.core.batch import Batch
from ornstein.core.blocks import BlockGaussian, apply, root
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.denoisers.hybrid_score import HybridScore
from ornstein.objectives.hybrid_score import HybridScoreMatching
from ornstein.objectives.times import UniformTimes
from ornstein.processes import CLD, VP, LinearProcess
from ornstein.samplers import GDDIM, SSCS, Ancestral, get
from ornstein.samplers.euler_maruyama import EulerMaruyama
from ornstein.testing import exact
from ornstein.testing.conformance import check_codec
from ornstein.testing.conformance.problems import gaussian_on, problem_on
from ornstein.testing.order import exact_law, measured_order, sampled_law

CLOCK = torch.tensor([1e-3, 0.2, 1.2, 4.0], dtype=torch.float64)


@pytest.mark.parametrize("process", [CLD(), CLD(2.0, 1.0, 6.0, 0.1)], ids=["paper", "heavy"])
def test_closed_forms_of_cld_are_those_of_matrix_exponentials(process: CLD) -> None:
    pull, noise = process.pull(), process.noise()
    block = torch.cat([torch.cat([-pull, noise], 1), torch.cat([torch.zeros_like(pull), pull.T], 1)])
    for b in CLOCK:
        whole = torch.linalg.matrix_exp(block * b)  # Van Loan 1978
        torch.testing.assert_close(process.flow(b), whole[:2, :2], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(process.spread(b), whole[:2, 2:] @ whole[:2, :2].T, rtol=1e-6, atol=1e-11)
    torch.testing.assert_close(pull @ process.stationary() + process.stationary() @ pull.T, noise)
    torch.testing.assert_close(
        process.spread(torch.tensor(60.0, dtype=torch.float64)), torch.diag(torch.tensor([1, process.mass]).double())
    )


def test_the_hybrid_kernel_averages_the_first_velocity() -> None:
    process, n = CLD(), 20_000
    x_0 = torch.full((n, 1), 0.7, dtype=torch.float64)
    t = torch.tensor(0.03, dtype=torch.float64)
    u_0 = WithVelocity(Identity(), process.gamma * process.mass).encode(x_0, Stream(0))
    two = process.marginal(u_0, t).sample(Stream(1))
    law = process.hybrid(x_0, t)
    torch.testing.assert_close(two.mean(0), law.mean[0], rtol=0, atol=5e-3)
    torch.testing.assert_close(two.T.cov(), law.cov, rtol=0.05, atol=2e-5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_carrying_keeps_the_covariance(eta: float) -> None:
    """The general method agrees with the closed form, with the reverse kernel at eta = 1, and leaves a covariance over."""
    process = CLD()
    t, s = (torch.tensor(a, dtype=torch.float64) for a in ([0.9, 0.5, 0.3], [0.6, 0.4, 0.2]))
    b_t, b_s = process.clock(t), process.clock(s)
    general = LinearProcess.carry(process, t, s, eta)
    left = process.unseen(b_s) - general @ process.unseen(b_t) @ general.mT
    if eta == 0:
        torch.testing.assert_close(general, process.carry(t, s), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(left, torch.zeros_like(left), rtol=0, atol=1e-7)
        return
    assert float(torch.linalg.eigvalsh(left).min()) > 1e-6
    if eta == 1:
        beside = LinearProcess.carry(process, t, s, 1 - 1e-9)
        torch.testing.assert_close(general, beside, rtol=1e-6, atol=1e-6)


def test_gddim_is_exact_in_one_step_for_one_point() -> None:
    """Against the probability flow of q(u_t | x_0), by small steps; the first velocity is not known."""
    process = CLD()
    x_0 = torch.tensor([[0.7, -0.2]], dtype=torch.float64)
    problem = exact.coupled(process, [1.0], torch.cat([x_0, torch.zeros_like(x_0)], 1), _start(process, 1e-30))
    u = torch.tensor([[0.4, 1.0, -0.6, 0.1]], dtype=torch.float64)
    times = torch.logspace(0, -2, 801, dtype=torch.float64)

    def velocity(u: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        score = problem.score(u, t)
        return process.drift(u, t) - 0.5 * process.diffuse(process.diffuse(score, t), t)

    end = u
    for t, s in pairwise(times):
        h, m = s - t, (t + s) / 2
        k_1 = velocity(end, t)
        k_2 = velocity(end + h / 2 * k_1, m)
        k_3 = velocity(end + h / 2 * k_2, m)
        end = end + h / 6 * (k_1 + 2 * k_2 + 2 * k_3 + velocity(end + h * k_3, s))
    at = times[:1].reshape(1, 1), times[-1:].reshape(1, 1)
    once, _ = GDDIM(problem.denoiser).step(u, *at, None, Rng([0]))
    torch.testing.assert_close(once, end, rtol=0, atol=1e-6)


def _start(process: CLD, var: float) -> torch.Tensor:
    return torch.diag(torch.tensor([var, process.gamma * process.mass], dtype=torch.float64))


def test_the_exact_posterior_makes_ancestral_steps_exact() -> None:
    problem = gaussian_on(CLD())
    law = sampled_law(Ancestral(problem.denoiser), problem, torch.tensor([0.9, 0.4, 0.1], dtype=torch.float64))
    assert law.distance(exact_law(problem, 0.1)) < 1e-10


@pytest.mark.parametrize("options", [{"order": 1}, {"order": 1, "eta": 0.5}, {"order": 1, "eta": 1.0}])
def test_gddims_other_forms_have_order_1(options: dict[str, Any]) -> None:
    choice = get("gddim", options=options)
    assert abs(measured_order(choice, gaussian_on(CLD()), 8, (0.9, 0.3)) - 1) < 0.15


def test_posteriors_agree_with_bayes_by_enumeration() -> None:
    """E[u_0 | u_t] of the exact problem from the joint law, and Tweedie's score."""
    process = CLD()
    problem = problem_on(process)
    t = torch.tensor(0.2, dtype=torch.float64)
    u = process.marginal(problem.sample(Rng(range(4)), 4), t).sample(Rng(range(4))).requires_grad_()
    (score,) = torch.autograd.grad(problem.marginal_log_prob(u, t).sum(), u)
    torch.testing.assert_close(problem.score(u.detach(), t), score, rtol=1e-8, atol=1e-8)
    posterior = problem.posterior(u.detach(), t)
    torch.testing.assert_close(process.score(u.detach(), t, posterior), score, rtol=1e-7, atol=1e-7)
    assert posterior.var.shape == u.shape and bool((posterior.var > 0).all())


class Alpha(torch.nn.Module):
    """The exact alpha of a problem, in place of a network."""

    def __init__(self, problem: Any, mixed: bool):
        super().__init__()
        self.problem, self.mixed = problem, mixed

    def forward(self, x: torch.Tensor, t: torch.Tensor, cond: Cond = NO_COND) -> torch.Tensor:
        p, time = self.problem.process, (t / 1000).double().reshape(-1, 1)
        position, w = x.chunk(2, 1)
        u = torch.cat([position, w * p.mass**0.5], 1)
        _, l_vx, l_vv = p.factor(time)
        alpha = -l_vv * self.problem.score(u, time).chunk(2, 1)[1]
        return alpha - l_vv / (l_vx**2 + l_vv**2) * u.chunk(2, 1)[1] if self.mixed else alpha


@pytest.mark.parametrize("mixed", [True, False])
def test_the_velocitys_score_says_everything(mixed: bool) -> None:
    """A network that gives alpha exactly makes the exact posterior mean of positions and velocities, at every time."""
    problem = problem_on(CLD())
    process = problem.process
    denoiser = HybridScore(Alpha(problem, mixed), process, mixed)
    t = torch.tensor([1.0, 0.5, 0.1, 0.01, 1e-3], dtype=torch.float64).reshape(-1, 1)
    u = process.marginal(problem.sample(Rng(range(5)), 5), t).sample(Rng(range(5)))
    torch.testing.assert_close(denoiser(u, t).mean, problem.posterior(u, t).mean, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(process.score(u, t, denoiser(u, t)), problem.score(u, t), rtol=1e-6, atol=1e-6)
    single = torch.tensor(0.3, dtype=torch.float64)
    assert denoiser(u, single).mean.shape == u.shape


def test_hybrid_score_matching_is_least_at_the_exact_score() -> None:
    process = CLD()
    problem = exact.coupled(process, [1.0], torch.tensor([[0.7, 0.0]]), _start(process, 0.25))
    codec = WithVelocity(Identity(), process.gamma * process.mass)
    rng = Stream(0)
    batch = Batch(0.7 + 0.5 * rng.normal((4000, 1), dtype=torch.float64))

    class Shifted(torch.nn.Module):
        def __init__(self, by: float):
            super().__init__()
            self.inner, self.by = Alpha(problem, False), by

        def forward(self, x: torch.Tensor, t: torch.Tensor, cond: Cond = NO_COND) -> torch.Tensor:
            return self.inner(x, t, cond) + self.by

    losses = [
        float(
            HybridScoreMatching(HybridScore(Shifted(d), process, False), codec, UniformTimes())(batch, Stream(1)).value
        )
        for d in (-0.2, 0.0, 0.2)
    ]
    assert losses[1] < min(losses[0], losses[2])


def test_the_codec_draws_and_drops_velocities() -> None:
    x = Stream(0).normal((2000, 3))
    codec = WithVelocity(Identity(), 0.01)
    check_codec(codec, x[:4])
    assert abs(float(codec.encode(x, Stream(1))[:, 3:].std()) - 0.1) < 0.005


def test_block_gaussians_have_the_moments_that_they_say() -> None:
    cov = torch.tensor([[0.5, 0.3], [0.3, 0.4]], dtype=torch.float64)
    law = BlockGaussian(torch.zeros(20_000, 4, dtype=torch.float64), cov)
    x = law.sample(Stream(0)).reshape(-1, 2, 2)
    torch.testing.assert_close(x[:, :, 0].T.cov(), cov, rtol=0.03, atol=0.01)
    torch.testing.assert_close(x[:, :, 1].T.cov(), cov, rtol=0.03, atol=0.01)
    assert abs(float((x[:, 0, 0] * x[:, 1, 1]).mean())) < 0.02
    assert law.var[0].tolist() == [0.5, 0.5, 0.4, 0.4]
    one = law.log_prob(torch.ones(20_000, 4, dtype=torch.float64))[0]
    wanted = 2 * torch.distributions.MultivariateNormal(torch.zeros(2).double(), cov).log_prob(torch.ones(2).double())
    torch.testing.assert_close(one, wanted)
    mixed = torch.stack([cov, torch.zeros(2, 2, dtype=torch.float64)])
    torch.testing.assert_close(root(mixed) @ root(mixed).mT, mixed)


def test_a_matrix_meets_every_column() -> None:
    x = Stream(0).normal((2, 4, 3))
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    got = apply(turn, x)
    torch.testing.assert_close(got, torch.cat([-x[:, 2:], x[:, :2]], 1))
    with pytest.raises(UsageError, match="cannot be cut into 5 parts"):
        apply(torch.eye(5, dtype=torch.float64), x)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: CLD(1.0, 0.3), UsageError, r"friction\^2 = 4 mass.*set mass to 0.25"),
        (lambda: CLD(gamma=0.0), UsageError, "gamma must be positive.*no hybrid score matching"),
        (lambda: CLD(beta=-1.0), UsageError, "beta must be positive"),
        (lambda: CLD().prior((2, 3)), UsageError, "2 equal parts"),
        (lambda: WithVelocity(Identity(), 0.0), UsageError, "variance must be positive"),
        (lambda: HybridScore(torch.nn.Identity(), VP()), CapabilityError, "needs CLD, got VP"),
        (lambda: GDDIM(gaussian_on(CLD()).denoiser, order=3), UsageError, "order must be 1 or 2, got 3"),
        (lambda: GDDIM(gaussian_on(CLD()).denoiser, order=1, eta=-0.1), UsageError, "eta must be >= 0"),
        (lambda: GDDIM(gaussian_on(CLD()).denoiser, eta=1.0), UsageError, "set order=1"),
        (lambda: SSCS(exact.gaussian(VP()).denoiser), CapabilityError, "SSCS needs a process that is LinearProcess"),
        (lambda: exact.coupled(CLD(), [1.0], torch.zeros(1, 2), torch.eye(3)), UsageError, "2 parts need a covariance"),
        (
            lambda: CLD().drift(torch.zeros(2, 4), torch.full((2, 4), 0.5, dtype=torch.float64)),
            CapabilityError,
            "a time for each coordinate",
        ),
    ],
)
def test_what_cannot_be_meant(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_euler_maruyama_knows_the_process() -> None:
    assert get("euler_maruyama")(problem_on(CLD()).denoiser).__class__ is EulerMaruyama
