"""Analytic-DPM: the variance is the exact optimum on Gaussian data and mixtures, the kernels exact where they should be."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ornstein.codecs.base import Identity
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Stream
from ornstein.core.shapes import expand
from ornstein.denoisers import AnalyticVariance, Eps, LearnedMoment, Preconditioned, VarianceWarning
from ornstein.networks.headed import Headed
from ornstein.objectives import DiscreteTimes
from ornstein.objectives.moments import MomentMatching
from ornstein.processes import VP, CategoricalProcess
from ornstein.processes.schedules import Table
from ornstein.recipes.checks.strides import posterior_nats, strided
from ornstein.recipes.checks.toys import ExactDenoiser, Mixture
from ornstein.samplers import DDIM, AnalyticDPM, Ancestral, get, simulate
from ornstein.samplers.analytic_dpm import pixel_deviation
from ornstein.testing import exact
from ornstein.testing.order import sampled_law, sampler_error

CHAIN = 20
PROCESS = VP(Table.linear(CHAIN, 5e-3, 0.5), t_min=1 / CHAIN)
STD = 0.5
ONE, RING = Mixture(torch.tensor([[0.3, -0.2]]), STD), Mixture.ring(std=0.2)
TIMES = torch.arange(1, CHAIN + 1, dtype=torch.float64) / CHAIN


def gaussian_variance(t: Tensor) -> Tensor:
    """Var[x_0 | x_t] of Gaussian data."""
    alpha, sigma = PROCESS.alpha(t), PROCESS.sigma(t)
    return STD**2 * sigma**2 / (alpha**2 * STD**2 + sigma**2)


def gaussian_table() -> Tensor:
    """E|eps_theta|^2/D of Gaussian data, its mean taken out: sigma^2/(alpha^2 s^2 + sigma^2)."""
    alpha, sigma = PROCESS.alpha(TIMES), PROCESS.sigma(TIMES)
    return sigma**2 / (alpha**2 * STD**2 + sigma**2)


def test_the_formula_is_the_exact_variance_of_gaussian_data() -> None:
    analytic = AnalyticVariance.from_table(ExactDenoiser(PROCESS, ONE), CHAIN, gaussian_table())
    # At the noisy end Gamma is 1 - 7e-14, and the table's rounding there is 3e-4 of the gap.
    torch.testing.assert_close(analytic.variance(TIMES), gaussian_variance(TIMES), rtol=1e-3, atol=0)
    torch.testing.assert_close(analytic.variance(TIMES[:10]), gaussian_variance(TIMES[:10]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("data", [ONE, RING], ids=["gaussian", "mixture"])
def test_what_is_measured_is_the_mean_of_the_exact_variance(data: Mixture) -> None:
    """1 - Gamma = E[Var[eps | x_t]], the isotropic optimum: within five standard errors at every step."""
    denoiser, rng, n = ExactDenoiser(PROCESS, data), Stream(0), 4000
    analytic = AnalyticVariance(denoiser, CHAIN)
    steps = torch.arange(1, CHAIN + 1).repeat_interleave(n)
    analytic.add(data.sample(len(steps), rng), steps, rng)
    assert analytic.count.tolist() == [n] * CHAIN
    x_t = PROCESS.marginal(data.sample(len(steps), rng), expand(steps / CHAIN, torch.empty(len(steps), 2))).sample(rng)
    truth = denoiser(x_t, steps / CHAIN).var.expand(len(steps), 2).reshape(CHAIN, n, 2).mean((1, 2))
    limit = (PROCESS.sigma(TIMES) / PROCESS.alpha(TIMES)) ** 2
    # |eps|^2 - |eps_theta|^2 over 2 coordinates has a deviation of at most 2 or so.
    error = (analytic.variance(TIMES) - truth) / limit
    assert float(error.abs().max()) < 5 * 2 / math.sqrt(n)
    late = TIMES > 0.8  # where the noise is nearly all that there is, the noise drawn and that found nearly cancel
    assert float(error[late].abs().max()) < 0.02


def test_another_variance_gives_a_worse_bound() -> None:
    """The optimum: the bound of the mixture over a stride rises when all variances are made larger or smaller."""
    rng = Stream(1)
    denoiser = ExactDenoiser(PROCESS, RING)
    analytic = AnalyticVariance(denoiser, CHAIN)
    steps = torch.arange(1, CHAIN + 1).repeat(2000)
    analytic.add(RING.sample(len(steps), rng), steps, rng)
    x_0 = RING.sample(1000, rng)

    def nats(factor: float) -> float:
        table = 1 - factor * analytic.gaps()
        other = AnalyticVariance.from_table(denoiser, CHAIN, table)
        return posterior_nats(other, x_0, strided(CHAIN, 5), Stream(2))

    best = nats(1.0)
    assert best < nats(0.8) and best < nats(1.2)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_gaussian_data_are_drawn_exactly_at_any_stride(eta: float) -> None:
    problem = exact.gaussian(VP(), mean=0.7, var=0.25)
    grid = torch.tensor([0.9, 0.5, 0.2, 0.1], dtype=torch.float64)
    assert sampler_error(AnalyticDPM(problem.denoiser, eta), problem, grid) < 1e-12
    assert sampler_error(DDIM(problem.denoiser, eta), problem, grid) > 1e-3


def test_it_is_ancestral_sampling_and_ddim_where_those_are_the_same_kernels() -> None:
    problem = exact.mixture(VP(), [0.5, 0.5], [[-1.0], [1.0]], [[[0.1]], [[0.3]]])
    x = Stream(0).normal((50, 1), dtype=torch.float64)
    grid = torch.linspace(1, 0, 6, dtype=torch.float64)
    one, other = (
        simulate(sampler, x, grid, Stream(1))
        for sampler in (AnalyticDPM(problem.denoiser), Ancestral(problem.denoiser))
    )
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    mean = exact.MeanOnly(problem.denoiser)
    for eta in (0.0, 0.5, 1.0):
        one, other = (simulate(s, x, grid, Stream(1)) for s in (AnalyticDPM(mean, eta), DDIM(mean, eta)))
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert get("Analytic DDIM").options == (("eta", 0.0),) and get("SN-DDPM").name == "analytic_dpm"


def test_only_the_noise_of_the_last_step_is_bounded() -> None:
    process = VP(t_min=1e-2)
    problem = exact.gaussian(process, mean=0.0, var=4.0)
    std = pixel_deviation(1, (-1.0, 1.0))
    assert std == pytest.approx(2 / 255 * math.sqrt(math.pi / 2))
    bounded = AnalyticDPM(problem.denoiser, last_std=std)
    before = torch.tensor([0.5, 0.3, 0.1], dtype=torch.float64)
    assert sampler_error(bounded, problem, before) < 1e-12
    # A single step to t_min: what it adds to the mean's law has the bounded deviation.
    last = torch.tensor([0.1, 0.01], dtype=torch.float64)
    free = sampled_law(AnalyticDPM(problem.denoiser), problem, last).std ** 2
    cut = sampled_law(bounded, problem, last).std ** 2
    p = problem.process
    t, s = last[:1], last[1:]
    kernel = p.reverse(torch.zeros(1, 1, dtype=torch.float64), t, s, problem.denoiser(torch.zeros(1, 1).double(), t))
    assert float(free - cut) == pytest.approx(float(kernel.var) - std**2, rel=1e-9)


def test_between_measured_times_it_is_interpolated_and_bounded_by_the_data() -> None:
    analytic = AnalyticVariance(ExactDenoiser(PROCESS, ONE), CHAIN)
    with pytest.raises(CapabilityError, match="no variance was measured yet"):
        analytic.variance(TIMES)
    analytic.gap[4], analytic.gap[8] = 0.2, 0.6
    analytic.count[4] = analytic.count[8] = 1
    gaps = analytic.gaps()
    torch.testing.assert_close(gaps[4:9], torch.tensor([0.2, 0.3, 0.4, 0.5, 0.6]).double(), rtol=1e-6, atol=0)
    assert float(gaps[0]) == pytest.approx(0.2) and float(gaps[-1]) == pytest.approx(0.6)
    t = torch.tensor([5.5 / CHAIN], dtype=torch.float64)
    assert float(analytic.variance(t)) == pytest.approx(0.25 * float((-PROCESS.log_snr(t)).exp()), rel=1e-6)
    bounded = AnalyticVariance.from_table(ExactDenoiser(PROCESS, ONE), CHAIN, torch.zeros(CHAIN), (-1.0, 1.0))
    assert float(bounded.variance(TIMES).max()) == 1.0


def outputs(x_t: Tensor, t: Tensor, moment: str, shift: float) -> tuple[Tensor, Tensor]:
    """eps_theta = E[eps|x_t] + shift, and the exact second moment that goes with it; both from the exact posterior."""
    law = ExactDenoiser(PROCESS, RING)(x_t, t)
    eps = PROCESS.eps(x_t, t, law.mean)
    spread = law.var * PROCESS.alpha(t) ** 2 / PROCESS.sigma(t) ** 2
    return eps + shift, spread + (eps**2 if moment == "noise" else shift**2)


@pytest.mark.parametrize("moment", ["noise", "residual"])
def test_an_exact_moment_gives_the_exact_variance_of_each_coordinate(moment: str) -> None:
    x_t = Stream(0).normal((200, 2), dtype=torch.float64)
    t = expand(torch.tensor(0.3), x_t)
    law = ExactDenoiser(PROCESS, RING)(x_t, t)
    posterior = LearnedMoment(Eps(), moment).posterior(PROCESS, torch.cat(outputs(x_t, t, moment, 0.0), 1), x_t, t)  # type: ignore[arg-type]
    torch.testing.assert_close(posterior.mean, law.mean, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(posterior.var, law.var, rtol=1e-6, atol=1e-9)
    assert float(law.var.std()) > 0.01  # it does depend on the state


def test_with_a_wrong_mean_the_residual_gives_its_squared_error_too() -> None:
    """E[(x_0 - mean_theta)^2 | x_t] = Var + bias^2, the diagonal that is best for the bound; the noise's moment falls short."""
    x_t = Stream(0).normal((200, 2), dtype=torch.float64)
    t = expand(torch.tensor(0.3), x_t)
    law = ExactDenoiser(PROCESS, RING)(x_t, t)
    found = {}
    for moment in ("noise", "residual"):
        out = torch.cat(outputs(x_t, t, moment, 0.2), 1)
        found[moment] = LearnedMoment(Eps(), moment).posterior(PROCESS, out, x_t, t)  # type: ignore[arg-type]
    best = law.var + (found["residual"].mean - law.mean) ** 2
    torch.testing.assert_close(found["residual"].var, best, rtol=1e-6, atol=1e-9)
    assert float((found["noise"].var - best).abs().mean()) > 0.01
    assert bool((found["noise"].var >= 0).all())  # h - eps_theta^2 falls below 0 in places
    bounded = LearnedMoment(Eps(), "residual", (-0.1, 0.1))
    assert float(bounded.posterior(PROCESS, out, x_t, t).var.max()) == pytest.approx(0.01)


def test_the_moments_regression_has_the_moment_as_its_minimum_and_leaves_the_mean_alone() -> None:
    """At the exact moment the loss is stationary: scaling the moment up or down costs more, on the same draws."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean, self.moment = nn.Parameter(torch.zeros(())), nn.Parameter(torch.ones(()))

        def forward(self, x, t, cond=None):  # type: ignore[no-untyped-def]
            at = expand(t.double() / 1000, x)
            eps, h = outputs(x.double(), at, kind, 0.0)
            return torch.cat([eps + self.mean, self.moment * h], 1).to(x)

    batch = Batch(RING.sample(4000, Stream(0)).float())
    for kind in ("noise", "residual"):
        network = Scaled()
        denoiser = Preconditioned(network, PROCESS, LearnedMoment(Eps(), kind))  # type: ignore[arg-type]
        objective = MomentMatching(denoiser, Identity(), DiscreteTimes(CHAIN))
        loss = objective(batch, Stream(1)).value
        loss.backward()
        assert network.mean.grad is None or float(network.mean.grad.abs()) == 0
        with torch.no_grad():
            for factor in (0.8, 1.2):
                network.moment.fill_(factor)
                assert float(objective(batch, Stream(1)).value) > float(loss)


def test_a_head_sends_no_gradient_into_its_backbone() -> None:
    class Linear(nn.Module):
        def __init__(self, inputs: int):
            super().__init__()
            self.layer = nn.Conv2d(inputs, 2, 1)

        def forward(self, x, t, cond=None):  # type: ignore[no-untyped-def]
            return self.layer(x)

    network = Headed(Linear(2), Linear(4))
    out = network(torch.randn(3, 2, 4, 4), torch.zeros(3))
    assert out.shape == (3, 4, 4, 4)
    out[:, 2:].sum().backward()
    gradient = network.backbone.layer.weight.grad
    assert gradient is None or not bool(gradient.any())
    assert bool(network.head.layer.weight.grad.any())


def test_bad_tables_and_options_are_refused() -> None:
    denoiser = ExactDenoiser(PROCESS, ONE)
    with pytest.raises(UsageError, match="a chain of 20 steps has 20 entries"):
        AnalyticVariance.from_table(denoiser, CHAIN, torch.ones(CHAIN + 1))
    with pytest.raises(UsageError, match="at least 0"):
        AnalyticVariance.from_table(denoiser, CHAIN, torch.full((CHAIN,), torch.nan))
    with pytest.warns(VarianceWarning, match="is 1.3 at step 20 of 20"):
        one = AnalyticVariance.from_table(denoiser, CHAIN, torch.linspace(0.5, 1.3, CHAIN))
    assert float(one.variance(torch.ones((), dtype=torch.float64))) == 0
    AnalyticVariance.from_table(denoiser, CHAIN, torch.full((CHAIN,), 1.01))  # within a finite sample's error
    with pytest.raises(UsageError, match=r"steps of the chain are 1 \.\. 20, got 0 \.\. 0"):
        AnalyticVariance(denoiser, CHAIN).add(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), Stream(0))
    with pytest.raises(UsageError, match="low < high"):
        AnalyticVariance(denoiser, CHAIN, (1.0, -1.0))
    with pytest.raises(UsageError, match="needs the range of the data"):
        pixel_deviation(1, None)
    with pytest.raises(UsageError, match="eta must lie in"):
        AnalyticDPM(denoiser, eta=1.5)
    with pytest.raises(UsageError, match="last_std"):
        AnalyticDPM(denoiser, last_std=0.0)
    discrete = exact.categorical(CategoricalProcess.uniform(3), torch.full((1, 3), 1 / 3)).denoiser
    with pytest.raises(CapabilityError, match="needs a Gaussian process; CategoricalProcess is not"):
        AnalyticVariance(discrete, CHAIN)


def test_a_network_without_a_second_moment_cannot_train_or_give_one() -> None:
    class Zero(nn.Module):
        def forward(self, x, t, cond=None):  # type: ignore[no-untyped-def]
            return torch.zeros_like(x)

    with pytest.raises(CapabilityError, match="Eps has no such output: give the network a head"):
        MomentMatching(Preconditioned(Zero(), PROCESS, Eps()), Identity(), DiscreteTimes(CHAIN))
    denoiser = Preconditioned(Zero(), PROCESS, LearnedMoment())
    with pytest.raises(UsageError, match=r"goes with \(2, 6, 4, 4\), got \(2, 3, 4, 4\)"):
        denoiser(torch.zeros(2, 3, 4, 4), torch.tensor(0.5))
    with pytest.raises(UsageError, match="moment must be 'noise'"):
        LearnedMoment(Eps(), "third")  # type: ignore[arg-type]
