"""The continuous bound against closed forms, and the learned schedule beneath it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ornstein.codecs import Identity, Scale
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Stream
from ornstein.core.shapes import expand
from ornstein.denoisers import Denoiser
from ornstein.networks.fourier_input import FourierInput
from ornstein.objectives import BoundVariance, ContinuousBound
from ornstein.objectives.continuous_bound import diffusion_nats, reconstruction_nats, stepwise_nats
from ornstein.processes import VP
from ornstein.processes.learned import Learned
from ornstein.testing import exact

N = 100_000
STD = 0.5


def schedule() -> Learned:
    torch.manual_seed(3)
    made = Learned(-8.0, 4.0, width=16)
    with torch.no_grad():
        made.outer.mul_(300)  # far from a line: steep at first
        made.inner.mul_(4)
        made.shift.add_(3)
    return made


def times() -> Tensor:
    return torch.linspace(0, 1, 41, dtype=torch.float64)


def test_the_schedule_is_monotone_and_keeps_its_ends() -> None:
    made = schedule()
    gamma = made.gamma(times()).detach()
    assert bool((gamma.diff() > 0).all())
    torch.testing.assert_close(gamma[[0, -1]], torch.tensor([-8.0, 4.0]).double(), rtol=1e-6, atol=1e-6)
    assert float((gamma - torch.linspace(-8, 4, 41).double()).abs().max()) > 0.5, "or the test says nothing"


def test_its_derivatives_and_its_inverse() -> None:
    made = schedule()
    t = times().requires_grad_()
    (slope,) = torch.autograd.grad(made.log_alpha(t).sum(), t)
    torch.testing.assert_close(made.d_log_alpha(t).detach(), slope)
    process = VP(made)
    torch.testing.assert_close(process.log_snr(t).detach(), -made.gamma(t).detach(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(process.time(process.log_snr(t)).detach(), t.detach(), rtol=0, atol=1e-9)


def test_the_interior_does_not_move_the_ends() -> None:
    made = schedule()
    ends = made.gamma(torch.tensor([0.0, 1.0]).double())
    for value in ends:
        assert not any(bool(g.any()) for g in torch.autograd.grad(value, made.interior(), retain_graph=True))
    assert not Learned(fixed_ends=True).ends() and len(made.ends()) == 2


class ExactGaussian(Denoiser):
    """E[x_0 | x_t] for N(0, STD^2)."""

    def __init__(self, process: VP):
        super().__init__()
        self.process = process

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Gaussian:
        a, s = self.process.alpha(expand(t, x_t)), self.process.sigma(expand(t, x_t))
        mean = a * STD**2 / (a**2 * STD**2 + s**2) * x_t
        return Gaussian(mean, torch.zeros_like(mean))


def expected(low: float, high: float) -> float:
    r"""1/2 int s^2/(s^2 + e^gamma) d gamma = 1/2 log((1 + s^2 e^{-low})/(1 + s^2 e^{-high}))."""
    return 0.5 * math.log((1 + STD**2 * math.exp(-low)) / (1 + STD**2 * math.exp(-high)))


@torch.no_grad()
def test_the_diffusion_term_of_a_gaussian_is_known() -> None:
    x = STD * Stream(0).normal((N, 1), dtype=torch.float64)
    draws = diffusion_nats(ExactGaussian(VP(schedule())), x, Stream(1).uniform((N, 1), dtype=torch.float64), Stream(2))
    assert abs(float(draws.mean()) - expected(-8, 4)) < 4.5 * float(draws.std()) / N**0.5


@torch.no_grad()
@pytest.mark.parametrize("steps", [3, 30])
def test_finite_steps_sum_exactly(steps: int) -> None:
    process = VP(schedule())
    x = STD * Stream(0).normal((N, 1), dtype=torch.float64)
    draws = stepwise_nats(ExactGaussian(process), x, steps, Stream(1))
    snr = process.log_snr(torch.arange(steps + 1).double() / steps).exp()
    want = 0.5 * float(((snr[:-1] - snr[1:]) * STD**2 / (1 + STD**2 * snr[1:])).sum())
    assert abs(float(draws.mean()) - want) < 4.5 * float(draws.std()) / N**0.5
    assert want > expected(-8, 4)


def test_the_bound_of_a_gaussian_at_gamma_0_is_its_entropy() -> None:
    """For data that the process already blurs: prior + diffusion + entropy of x_0 given z_0 is the entropy of x_0."""
    with torch.no_grad():
        bound = ContinuousBound(ExactGaussian(VP(schedule())), Identity(), bins=None)
        terms = bound.terms(Batch(STD * Stream(0).normal((N, 1), dtype=torch.float64)), Stream(1))
    alpha2 = 1 / (1 + math.exp(4.0))
    # KL(N(alpha x, sigma^2) || N(0, sigma^2)) = alpha^2 x^2/(2 sigma^2): the prior of sampling has variance sigma_1^2.
    assert float(terms["prior"].mean()) == pytest.approx(alpha2 * STD**2 / (2 * (1 - alpha2)), rel=0.03)
    assert float(terms["diffusion"].mean()) == pytest.approx(expected(-8, 4), rel=0.03)


def test_the_decoder_is_normalised_and_finds_the_value() -> None:
    values = torch.linspace(-1, 1, 256).double()[:, None]
    quiet = VP(Learned(-25.0, 4.0))
    assert float(reconstruction_nats(quiet, values, Stream(0), 256).detach().abs().max()) < 1e-6
    loud = VP(Learned(5.0, 6.0))
    found = float(reconstruction_nats(loud, values.repeat(50, 1), Stream(0), 256).detach().mean())
    assert abs(found - math.log(256)) < 0.2, "in noise all values are about as likely"
    with pytest.raises(CapabilityError, match="VP has no noise at t = 0"):
        reconstruction_nats(VP(), values, Stream(0), 256)
    with pytest.raises(UsageError, match="at least 2 values, got 1"):
        reconstruction_nats(loud, values, Stream(0), 1)


def test_the_two_players_see_their_own_parameters() -> None:
    made = schedule()
    process = VP(made)
    problem = exact.mixture(process, [0.5, 0.5], [[-1.0], [1.0]], 0.1)
    bound = ContinuousBound(problem.denoiser, Identity(), bins=None)
    batch = Batch(problem.sample(Stream(0), 512))
    ends = torch.autograd.grad(bound(batch, Stream(1)).value, made.ends())
    assert all(bool(g != 0) for g in ends)
    inner = torch.autograd.grad(BoundVariance(bound)(batch, Stream(1)).value, made.interior())
    assert any(bool(g.any()) for g in inner)


def test_the_bound_in_bits_is_the_sum_of_its_terms() -> None:
    bound = ContinuousBound(ExactGaussian(VP(schedule())), Scale())
    batch = Batch(torch.randint(0, 256, (16, 1), dtype=torch.uint8))
    with torch.no_grad():
        loss, terms = bound(batch, Stream(0)), bound.terms(batch, Stream(0))
    want = sum(float(v.mean()) for v in terms.values()) / math.log(2)
    assert float(loss.value) == pytest.approx(want, rel=1e-5)
    assert set(loss.logs) == {"prior", "reconstruction", "diffusion"}


def test_fourier_features_tell_neighbours_apart() -> None:
    class Show(nn.Module):
        def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
            return x

    x = (2 * torch.arange(4.0) / 255 - 1).reshape(1, 1, 2, 2)
    out = FourierInput(Show(), (5, 6))(x, torch.zeros(1))
    assert out.shape == (1, 5, 2, 2) and torch.equal(out[:, :1], x)
    torch.testing.assert_close(out[:, 1], torch.sin(2 * math.pi * 32 * x[:, 0]))
    torch.testing.assert_close(out[:, 4], torch.cos(2 * math.pi * 64 * x[:, 0]))
    with pytest.raises(UsageError, match="exponents of at least 0"):
        FourierInput(Show(), ())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((2.0, 1.0), "gamma_0 < gamma_1, got 2.0 and 1.0"), ((0.0, 1.0, 0), "width must be at least 1")],
)
def test_schedules_that_cannot_be(arguments: tuple, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UsageError, match=message):
        Learned(*arguments)
