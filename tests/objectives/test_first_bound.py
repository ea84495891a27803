"""The first bound against what can be enumerated or written down: heartbeats, independent bits, Gaussian data."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Categorical
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Stream
from ornstein.core.shapes import expand
from ornstein.denoisers.categorical import log_likelihood
from ornstein.denoisers.chain_step import ChainStep
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.denoisers.fixed_first import FixedFirst
from ornstein.objectives.first_bound import FirstBound, entropy
from ornstein.processes import VE, VP
from ornstein.processes.categorical import CategoricalProcess
from ornstein.processes.matrix import MatrixProcess
from ornstein.processes.schedules import Table
from ornstein.recipes.checks import sohl_dickstein as check
from ornstein.testing.conformance.parametrization import check_parametrization

SPREAD = 0.6
"""Standard deviation of the Gaussian data."""


def enumerated(steps: int) -> float:
    """The heartbeats' bound with the exact posterior, in bits: a sum over the number of ones in each phase's four bins."""
    counts = torch.tensor(list(itertools.product(range(5), repeat=5))).double()
    ways = torch.tensor([math.comb(4, i) for i in range(5)]).double()[counts.long()].prod(1)
    total = 0.0
    for n in range(1, steps + 1):
        at_t, at_s = 1 - n / steps, 1 - (n - 1) / steps  # kept until then
        one = (1 + at_t) / 2
        here, other = one**counts * (1 - one) ** (4 - counts), (1 - one) ** counts * one ** (4 - counts)
        masks = torch.eye(5, dtype=torch.bool)
        law = torch.stack([ways * torch.where(mask, here, other).prod(1) for mask in masks], 1)
        phase = law / law.sum(1, keepdim=True)

        def back(v: int, u: int, keep_s: float = at_s, keep: float = at_t / at_s) -> float:
            """q(x_s = 1 | x_t = v, x_0 = u)."""
            prior = (1 + keep_s) / 2 if u else (1 - keep_s) / 2
            a, b = ((1 + keep) / 2, (1 - keep) / 2) if v else ((1 - keep) / 2, (1 + keep) / 2)
            return a * prior / (a * prior + b * (1 - prior))

        for j, v in itertools.product(range(5), (0, 1)):
            true = torch.tensor(back(v, int(j == 0)), dtype=torch.float64)  # by symmetry the phase is the first
            model = phase[:, j] * back(v, 1) + (1 - phase[:, j]) * back(v, 0)
            xlogy = torch.special.xlogy
            kl = xlogy(true, true) - xlogy(true, model) + xlogy(1 - true, 1 - true) - xlogy(1 - true, 1 - model)
            total += float((law[:, 0] * (counts[:, j] if v else 4 - counts[:, j]) * kl).sum())
    return total / math.log(2)


@pytest.mark.parametrize("steps", [6, 12])
def test_heartbeats_against_enumeration(steps: int) -> None:
    process = CategoricalProcess.uniform(2)
    bound = FirstBound(check.ExactBeats(process), check.Plain(), steps, "learned")
    draws = bound.total(check.draw("beats", 10_000, Stream(0)), Stream(1)) * check.LENGTH / math.log(2)
    error = float(draws.std()) / len(draws) ** 0.5
    assert abs(float(draws.mean()) - enumerated(steps)) < 4 * error < 0.2


def test_a_binomial_chain_is_the_uniform_one_of_two_states() -> None:
    """Multiplied out, turned round by Bayes, and as the matrices of a chain: the same numbers."""
    assert check.kernel_gap(20) < 1e-12
    steps, process = 10, CategoricalProcess.uniform(2)
    beta = 1 / torch.arange(steps, 0, -1, dtype=torch.float64)[:, None, None]
    matrices = MatrixProcess((1 - beta) * torch.eye(2, dtype=torch.float64) + beta / 2)
    x_0, x_t = torch.tensor([[0, 1]]), torch.tensor([[1, 1]])
    for n in range(1, steps + 1):
        t, s = (torch.tensor(m / steps, dtype=torch.float64) for m in (n, n - 1))
        torch.testing.assert_close(
            process.marginal(x_0, t).logits.exp(), matrices.marginal(x_0, t).probs, rtol=0, atol=1e-12
        )
        posterior = Categorical(torch.tensor([[[0.3, 0.7], [0.9, 0.1]]], dtype=torch.float64).log())
        kernels = [p.reverse(x_t, t, s, posterior).probs for p in (process, matrices)]
        torch.testing.assert_close(*kernels, rtol=0, atol=1e-12)


class Bits(Denoiser):
    """Independent bits, one with probability p: the exact posterior."""

    def __init__(self, process: CategoricalProcess, p: float):
        super().__init__()
        self.process = process
        self.prior = torch.tensor([1 - p, p], dtype=torch.float64).log()

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Categorical:
        return Categorical((log_likelihood(self.process, x_t, expand(t, x_t)) + self.prior).log_softmax(-1))


def h(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


@pytest.mark.parametrize("first", ["fixed", "learned"])
def test_bits_against_their_entropy(first: str) -> None:
    """With the exact kernels the bound is H(X_0), or H(X_1) where the first step is fixed: the edge effect."""
    p, steps = 0.2, 8
    process = CategoricalProcess.uniform(2)
    bound = FirstBound(Bits(process, p), check.Plain(), steps, first)  # type: ignore[arg-type]
    x_0 = (Stream(0).uniform((4000, 6)) < p).long()
    draws = bound.total(x_0, Stream(1))
    wanted = h(p) if first == "learned" else h(p * (1 - 1 / steps) + 0.5 / steps)
    assert abs(float(draws.mean()) - wanted) < 4 * float(draws.std()) / len(draws) ** 0.5 < 0.03


class GaussianStep(nn.Module):
    """f_mu and f_sigma of the exact reverse chain of N(0, SPREAD^2) data."""

    def __init__(self, process: VP, steps: int):
        super().__init__()
        self.process, self.steps = process, steps

    def forward(self, x: Tensor, noise: Tensor, cond: Cond = NO_COND) -> Tensor:
        t = expand(noise.double() / 1000, x)
        s = (t - 1 / self.steps).clamp_min(0)
        alpha_t, alpha_s = self.process.alpha(t), self.process.alpha(s)
        var_t, var_s = (a**2 * SPREAD**2 + self.process.sigma(u) ** 2 for a, u in ((alpha_t, t), (alpha_s, s)))
        keep = alpha_t / alpha_s
        beta = 1 - keep**2
        gain = keep * var_s / var_t  # E[x_s | x_t] = gain x_t
        var = var_s - gain**2 * var_t
        f_mu = (gain - keep) / beta.sqrt() * x
        f_sigma = (var.logit() - beta.logit()) * self.steps**0.5
        return torch.cat([f_mu, f_sigma.expand_as(f_mu)], 1).to(x.dtype)


def chain(steps: int) -> Preconditioned:
    process = VP(Table.harmonic(steps), t_min=1 / steps)
    return Preconditioned(GaussianStep(process, steps), process, ChainStep(steps))


@pytest.mark.parametrize("first", ["fixed", "learned"])
def test_gaussian_data_against_the_closed_form(first: str) -> None:
    """h(X_0) or h(X_1), and KL(p(x_T) || prior), which no kernel mends."""
    steps = 12
    denoiser = chain(steps)
    process = denoiser.process
    bound = FirstBound(denoiser, check.Plain(), steps, first, bins=None)  # type: ignore[arg-type]
    x_0 = SPREAD * Stream(0).normal((4000, 3), dtype=torch.float64)
    draws = bound.total(x_0, Stream(1))
    at = torch.tensor([0.0, 1 / steps, 1.0], dtype=torch.float64)
    var = process.alpha(at) ** 2 * SPREAD**2 + process.sigma(at) ** 2
    ratio = float(var[2] / process.sigma(at[2]) ** 2)
    wanted = 0.5 * (1 + math.log(2 * math.pi * float(var[1 if first == "fixed" else 0])))
    wanted += 0.5 * (ratio - 1 - math.log(ratio))
    assert abs(float(draws.mean()) - wanted) < 4 * float(draws.std()) / len(draws) ** 0.5 < 0.1


@pytest.mark.parametrize("first", ["fixed", "learned"])
def test_one_step_stands_for_all(first: str) -> None:
    """A uniform n times the number of steps estimates the sum: the pitfall is to average."""
    steps = 5
    bound = FirstBound(chain(steps), check.Plain(), steps, first, bins=None)  # type: ignore[arg-type]
    x_0 = SPREAD * Stream(0).normal((20_000, 2), dtype=torch.float64)
    loss = bound(Batch(x_0), Stream(1))
    assert loss.logs["bits_per_dim"] == pytest.approx(float(loss.value) / math.log(2), rel=1e-5)
    assert float(loss.value) == pytest.approx(float(bound.total(x_0, Stream(2)).mean()), abs=0.04)


def test_a_chain_step_conforms() -> None:
    check_parametrization(ChainStep(10), VP(Table.harmonic(10), t_min=0.1))
    check_parametrization(ChainStep(10), VP())
    with pytest.raises(CapabilityError, match="ChainStep needs a process that is VP; VE is not"):
        ChainStep(10).check(VE())


def test_a_chain_step_is_its_posteriors_reverse_kernel() -> None:
    """At the chain's own steps, mean and variance; and a network of zeros walks as the forward chain."""
    steps = 10
    denoiser = chain(steps)
    process, x = denoiser.process, Stream(0).normal((4, 2), dtype=torch.float64)
    for n in (1, 2, 7, 10):
        t, s = (torch.full((4, 1), m / steps, dtype=torch.float64) for m in (n, n - 1))
        out = denoiser.output(x, t)
        step = ChainStep(steps)
        law, kernel = step.law(process, out, x, t), process.reverse(x, t, s, denoiser(x, t))
        torch.testing.assert_close(kernel.mean, law.mean, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(kernel.var, law.var, rtol=1e-8, atol=1e-12)
        x_0 = Stream(1).normal((4, 2), dtype=torch.float64)
        told = torch.cat([step.target(process, x_0, x, t), torch.zeros_like(x)], 1)
        torch.testing.assert_close(step.posterior(process, told, x, t).mean, x_0, rtol=1e-9, atol=1e-9)
        beta = Table.harmonic(steps).betas()[n - 1]
        still = step.law(process, torch.zeros(4, 4, dtype=torch.float64), x, t)
        torch.testing.assert_close(still.mean, (1 - beta).sqrt() * x, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(still.var, beta.expand(4, 2), rtol=1e-9, atol=1e-12)


def test_a_fixed_first_step_is_the_forward_one_and_others_are_learned() -> None:
    steps = 10
    inner = chain(steps)
    denoiser, process = FixedFirst(inner, steps), inner.process
    x, t = Stream(0).normal((3, 2), dtype=torch.float64), torch.tensor([0.1, 0.2, 1.0], dtype=torch.float64)
    mixed, learned = denoiser(x, t), inner(x, t)
    forward = process.marginal(x, expand(t, x))
    torch.testing.assert_close(mixed.mean[0], forward.mean[0])
    assert float(mixed.var.expand(3, 2)[0, 0]) == pytest.approx(float(forward.var[0]))
    torch.testing.assert_close(mixed.mean[1:], learned.mean[1:])
    bits = CategoricalProcess.uniform(2)
    states = torch.tensor([[0, 1], [1, 1]])
    both = FixedFirst(Bits(bits, 0.2), steps)(states, torch.tensor([0.1, 0.5], dtype=torch.float64))
    torch.testing.assert_close(both.probs[0], torch.tensor([[0.95, 0.05], [0.05, 0.95]], dtype=torch.float64))
    torch.testing.assert_close(
        both.probs[1:], Bits(bits, 0.2)(states[1:], torch.tensor([0.5], dtype=torch.float64)).probs
    )


def test_entropies() -> None:
    process, x = CategoricalProcess.uniform(2), torch.tensor([[0, 1, 1]])
    t = torch.tensor(0.5, dtype=torch.float64)
    assert float(entropy(process.marginal(x, t))) == pytest.approx(3 * h(0.25))
    assert float(entropy(process.marginal(x, 0 * t))) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 1}, "a chain needs at least 2 steps, got 1"),
        ({"steps": 4, "cond_dropout": 1.0}, r"cond_dropout must lie in \[0, 1\), got 1.0"),
    ],
)
def test_arguments_that_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FirstBound(chain(4), check.Plain(), **arguments)  # type: ignore[arg-type]


def test_chains_that_are_too_short() -> None:
    for make in (ChainStep, Table.harmonic, lambda n: FixedFirst(chain(4), n)):
        with pytest.raises(UsageError, match="at least 2 steps, got 1"):
            make(1)
