"""The variational bound: its closed forms, its decoder, and what trains a learned variance."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from ornstein.codecs import Identity
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian, Ranged
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.core.shapes import expand
from ornstein.denoisers import Denoiser, Eps, LearnedRange, Preconditioned
from ornstein.objectives import Denoising, DiscreteTimes, Hybrid, LossSecondMoment, chain_bound, decoder_nll
from ornstein.objectives.bound import reverse_law, step_nats
from ornstein.processes import VP, FlowMatching
from ornstein.processes.schedules import Table
from ornstein.samplers.ancestral import Ancestral

CHAIN = 50


class Fixed(nn.Module):
    """A network that says ``a x`` for the noise and ``raw`` for the variance's half."""

    def __init__(self, raw: float | None = None, a: float = 0.5):
        super().__init__()
        self.a, self.raw = nn.Parameter(torch.tensor(a).double()), raw
        self.variance = nn.Parameter(torch.tensor(raw or 0.0).double())

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        out = self.a * x
        return out if self.raw is None else torch.cat([out, self.variance * torch.ones_like(x)], 1)


def process() -> VP:
    return VP(Table.linear(CHAIN), t_min=1 / CHAIN)


def denoiser(raw: float | None = None) -> Preconditioned:
    return Preconditioned(Fixed(raw), process(), Eps() if raw is None else LearnedRange(Eps(), CHAIN))


def grid(steps: int = CHAIN) -> Tensor:
    return torch.arange(steps, -1, -1, dtype=torch.float64) / steps


@pytest.mark.parametrize("std", [1e-3, 0.05, 3.0])
@pytest.mark.parametrize("mean", [-1.3, 0.0, 0.77])
def test_the_decoders_bins_have_mass_one(mean: float, std: float) -> None:
    x = torch.linspace(-1, 1, 256, dtype=torch.float64)
    nll = decoder_nll(x, torch.tensor(mean), torch.tensor(2 * math.log(std)), 256)
    assert bool(torch.isfinite(nll).all()) and abs(float((-nll).exp().sum()) - 1) < 1e-12


def test_the_decoder_is_a_density_times_the_width_of_a_bin() -> None:
    """Where the Gaussian is much wider than a bin: -log N(x; m, v) - log(2/255), to second order in the width."""
    x, mean, log_var = torch.tensor(31 / 255).double(), torch.tensor(0.3), torch.tensor(2 * math.log(0.4))
    fine = decoder_nll(x, mean, log_var, 256) - decoder_nll(x, mean, log_var)
    assert abs(float(fine) + math.log(2 / 255)) < 1e-4
    with pytest.raises(UsageError, match="at least 2 bins, got 1"):
        decoder_nll(x, mean, log_var, 1)


@pytest.mark.parametrize("stride", [1, 5])
def test_with_beta_tilde_each_term_is_half_the_loss_of_snr(stride: int) -> None:
    """KL = (SNR(s) - SNR(t))/2 (x_0 - x_0_hat)^2, exactly: Kingma et al. 2021, eq. 13."""
    model, p = denoiser(), process()
    x_0 = Rng(range(6)).normal((6, 3), dtype=torch.float64)
    for t, s in pairwise(expand(t, x_0) for t in grid(CHAIN // stride)[:-1]):
        x_t = p.marginal(x_0, t).sample(Rng(range(6)))
        law = reverse_law(model, model.output(x_t, t), x_t, t, s, "posterior", CHAIN)
        snr = 0.5 * (p.log_snr(s).exp() - p.log_snr(t).exp())
        want = snr * ((x_0 - model(x_t, t).mean) ** 2).mean(1)
        torch.testing.assert_close(step_nats(law, p, x_0, x_t, t, s, None), want, rtol=1e-7, atol=1e-10)


def test_the_bound_is_above_the_entropy_and_close_for_long_chains() -> None:
    """Gaussian data with its exact noise prediction, over chains of 20, 100 and 500 steps."""
    std = 0.5
    truth = 0.5 * math.log(2 * math.pi * math.e * std**2)

    class Exact(nn.Module):
        def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
            a, s = (f(expand(t.double() / 1000, x)) for f in (p.alpha, p.sigma))
            return s * x / (a**2 * std**2 + s**2)

    gaps = []
    for steps in (20, 100, 500):
        p = VP(Table.linear(steps), t_min=1 / steps)
        x_0 = std * Stream(0).normal((20_000, 1), dtype=torch.float64)
        bound = chain_bound(
            Preconditioned(Exact(), p, Eps()), x_0, grid(steps), Stream(1), chain=steps, variance="large", bins=None
        )
        gaps.append(float(bound.total.mean()) - truth)
    assert gaps[0] > gaps[1] > gaps[2] > 0 and gaps[2] < 0.06


@pytest.mark.parametrize(("raw", "name"), [(-1.0, "posterior"), (1.0, "large")])
def test_a_learned_variance_at_its_ends_is_a_fixed_one(raw: float, name: str) -> None:
    x_0 = Rng(range(4)).normal((4, 3), dtype=torch.float64)
    learned, fixed = (
        chain_bound(denoiser(r), x_0, grid(10), Rng(range(4)), chain=CHAIN, variance=v, bins=None)  # type: ignore[arg-type]
        for r, v in ((raw, "learned"), (None, name))
    )
    torch.testing.assert_close(learned.steps, fixed.steps)
    torch.testing.assert_close(learned.total, learned.prior + learned.steps.sum(0))


@pytest.mark.parametrize(("fraction", "variance"), [(0.0, "posterior"), (1.0, "large")])
def test_strided_sampling_reuses_the_fraction(fraction: float, variance: str) -> None:
    class Placed(Denoiser):
        def __init__(self) -> None:
            super().__init__()
            self.process = process()

        def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Gaussian:
            zero = torch.zeros_like(x_t)
            return Ranged(0.3 * x_t, zero, zero + fraction)

    x = Rng(range(5)).normal((5, 3), dtype=torch.float64)
    ranged, fixed = Ancestral(Placed(), "range"), Ancestral(Placed(), variance)  # type: ignore[arg-type]
    for t, s in ((1.0, 0.8), (0.5, 0.02), (0.02, 0.0)):
        args = (expand(t, x), expand(s, x), None)
        a, b = (sampler.step(x, *args, Rng(range(5)))[0] for sampler in (ranged, fixed))
        torch.testing.assert_close(a, b)


def test_strided_sampling_needs_a_fraction() -> None:
    x = torch.zeros(1, 3, dtype=torch.float64)
    with pytest.raises(CapabilityError, match="variance='range' needs a denoiser with a learned range"):
        Ancestral(denoiser(), "range").step(x, expand(1.0, x), expand(0.5, x), None, Rng([0]))


def batch() -> Batch:
    return Batch((torch.arange(24).reshape(8, 3) % 5 / 2 - 1).double())


def test_the_hybrid_loss_trains_the_mean_by_the_simple_loss_alone() -> None:
    model = denoiser(0.3)
    hybrid = Hybrid(model, Identity(), DiscreteTimes(CHAIN), vlb=0.5)(batch(), Stream(0)).value
    plain = Denoising(denoiser(), Identity(), DiscreteTimes(CHAIN))(batch(), Stream(0))
    mean, variance = torch.autograd.grad(hybrid, [model.network.a, model.network.variance])
    other = denoiser()
    (want,) = torch.autograd.grad(
        Denoising(other, Identity(), DiscreteTimes(CHAIN))(batch(), Stream(0)).value, [other.network.a]
    )
    torch.testing.assert_close(mean, want, rtol=1e-6, atol=0)
    assert float(variance) != 0 and hybrid.item() != plain.value.item()
    both = Hybrid(model, Identity(), DiscreteTimes(CHAIN), simple=0, vlb=0.5)(batch(), Stream(0)).value
    (pulled,) = torch.autograd.grad(both, [model.network.a])
    assert abs(float(pulled - want)) > 1e-3


def test_the_hybrid_loss_is_the_bound() -> None:
    """With simple = 0, vlb = 1 it estimates the sum of the steps, in bits per dimension."""
    model = denoiser(0.1)
    rows = Batch(batch().x.repeat(500, 1))
    objective = Hybrid(model, Identity(), DiscreteTimes(CHAIN), simple=0, vlb=1)
    draws = torch.tensor([objective(rows, Stream(i)).value.item() for i in range(20)])
    bound = chain_bound(model, rows.x, grid(), Stream(99), chain=CHAIN, variance="learned")
    want = float(bound.steps.sum(0).mean()) / math.log(2)
    assert abs(float(draws.mean()) - want) < 4.5 * float(draws.std()) / 20**0.5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Hybrid(denoiser(), Identity(), DiscreteTimes(CHAIN)), CapabilityError, "the network predicts none"),
        (lambda: Hybrid(denoiser(0.1), Identity(), DiscreteTimes(7)), UsageError, "chain of 50 steps.*one of 7"),
        (
            lambda: Hybrid(denoiser(0.1), Identity(), DiscreteTimes(CHAIN), simple=0, vlb=0),
            UsageError,
            "not both 0",
        ),
        (
            lambda: chain_bound(denoiser(), batch().x, grid(), Stream(0), chain=CHAIN, variance="learned"),
            CapabilityError,
            "learned variance needs a network with a learned range",
        ),
        (
            lambda: chain_bound(denoiser(), batch().x, grid()[:-1], Stream(0), chain=CHAIN),
            UsageError,
            "must end at t = 0",
        ),
        (lambda: LossSecondMoment(0), UsageError, "at least 1, got 0 and 10"),
        (lambda: LossSecondMoment(5, uniform=0), UsageError, r"lie in \(0, 1\], got 0"),
    ],
)
def test_what_does_not_fit(make, error: type[Exception], message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=message):
        make()


def test_a_network_with_too_few_channels_is_named() -> None:
    model = Preconditioned(Fixed(None), process(), LearnedRange(Eps(), CHAIN))
    with pytest.raises(UsageError, match="6 output channels for data of 3, got 3"):
        model(batch().x, torch.tensor(0.5))


def test_a_bound_needs_no_signal_lost() -> None:
    with pytest.raises(UsageError):
        chain_bound(
            Preconditioned(Fixed(None), FlowMatching(), Eps()), batch().x, torch.tensor([1.0, 0.5]), Stream(0), chain=5
        )


def test_resampling_is_uniform_until_it_is_warm() -> None:
    law = LossSecondMoment(4, history=2)
    flat = torch.full((4,), 0.25, dtype=torch.float64)
    t = torch.tensor([0.25, 0.5, 0.75, 1.0])
    law.record(t, torch.tensor([1.0, 2.0, 3.0, 4.0]))
    law.record(t[:3], torch.tensor([1.0, 2.0, 3.0]))
    assert torch.equal(law.probabilities(), flat) and not law.warm
    law.record(t[3:], torch.tensor([4.0]))
    assert law.warm
    torch.testing.assert_close(law.probabilities(), 0.999 * torch.tensor([0.1, 0.2, 0.3, 0.4]).double() + 0.00025)


def test_resampling_keeps_the_mean_and_follows_the_law() -> None:
    law = LossSecondMoment(4, history=1, uniform=0.2)
    losses = torch.tensor([5.0, 1.0, 0.1, 2.0])
    t = torch.arange(1, 5) / 4
    law.record(t, losses)
    assert float((law.probabilities() * law.weight(t) * losses).sum()) == pytest.approx(float(losses.mean()))
    drawn = (law(Stream(0), 20_000) * 4).round().long() - 1
    share = torch.bincount(drawn, minlength=4) / 20_000
    torch.testing.assert_close(share.double(), law.probabilities(), rtol=0, atol=0.015)


def test_resampling_forgets_the_oldest_and_is_saved() -> None:
    law = LossSecondMoment(2, history=2)
    for loss in (1.0, 2.0, 3.0):
        law.record(torch.tensor([0.5]), torch.tensor([loss]))
    assert law.losses[0].tolist() == [2.0, 3.0]
    other = LossSecondMoment(2, history=2)
    other.load_state_dict(law.state_dict())
    assert torch.equal(other.losses, law.losses) and torch.equal(other.counts, law.counts)


def test_resampled_training_keeps_the_mean_of_the_loss() -> None:
    model = denoiser(0.1)
    rows = Batch(batch().x.repeat(200, 1))
    times = LossSecondMoment(CHAIN)
    objective = Hybrid(model, Identity(), times, simple=0, vlb=1)
    while not times.warm:
        objective(rows, Stream(0) if not times.counts.any() else Stream(int(times.counts.sum())))
    draws = torch.tensor([objective(rows, Stream(1000 + i)).value.item() for i in range(20)])
    bound = chain_bound(model, rows.x, grid(), Stream(99), chain=CHAIN, variance="learned")
    want = float(bound.steps.sum(0).mean()) / math.log(2)
    assert abs(float(draws.mean()) - want) < 4.5 * float(draws.std()) / 20**0.5
