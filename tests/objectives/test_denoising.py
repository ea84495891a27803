"""The denoising regression: its weights, its minimum, and how it meets conditions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ornstein.codecs import Identity
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.core.shapes import expand, mean_rest
from ornstein.denoisers import X0, Clocked, EDMScaling, Eps, LearnedRange, Preconditioned, V
from ornstein.denoisers.consistency import ConsistencyScaling, TrigFlow
from ornstein.networks.uncertainty import Uncertainty
from ornstein.objectives import Denoising, Uncertain, UniformTimes, Weight, min_snr, p2, uniform
from ornstein.processes import VP
from ornstein.testing import exact
from ornstein.testing.conformance.times import inner_times
from testing.tables import AFFINE, PARAMETRIZATIONS

SINGLE = {name: p for name, p in PARAMETRIZATIONS.items() if p.outputs == 1}


class ExactNetwork(nn.Module):
    """What a perfect network would put out, plus ``shift + tilt x_t``: at 0 it must be where the loss is least."""

    def __init__(self, problem: exact.Problem, name: str):
        super().__init__()
        self.problem, self.parametrization = problem, SINGLE[name]
        self.shift, self.tilt = nn.Parameter(torch.zeros(()).double()), nn.Parameter(torch.zeros(()).double())

    def forward(self, x: Tensor, noise: Tensor, cond: Cond = NO_COND) -> Tensor:
        process = self.problem.process
        if isinstance(self.parametrization, TrigFlow):
            t = expand(process.time(-2 * (self.parametrization.sigma_data * noise.tan()).log()), x)
            x = x * self.parametrization.sigma_data * self.parametrization.angle(process, t)[1]
        elif isinstance(self.parametrization, EDMScaling | ConsistencyScaling):
            t = expand(process.time(-8 * noise), x)
            x = x * process.alpha(t) * ((8 * expand(noise, x)).exp() + self.parametrization.sigma_data**2).sqrt()
        elif isinstance(self.parametrization, Clocked):
            p = self.parametrization
            t = expand(process.time(p.high - noise.double() / 1000 * (p.high - p.low)), x)
        else:
            t = expand(noise / 1000, x)
        mean = self.problem.posterior(x, t).mean
        return self.parametrization.target(process, mean, x, t) + self.shift + self.tilt * x


@pytest.mark.parametrize("process", ["vp", "sub_vp", "flow_matching"])
@pytest.mark.parametrize("name", SINGLE)
def test_the_exact_denoiser_minimises_the_loss(name: str, process: str) -> None:
    problem = exact.mixture(AFFINE[process], [0.7, 0.3], [[-1.0, 0.5], [0.8, 0.0]], 0.1)
    network = ExactNetwork(problem, name)
    objective = Denoising(
        Preconditioned(network, AFFINE[process], SINGLE[name]), Identity(), UniformTimes(0.1, 0.9), weight=min_snr()
    )
    slopes = []
    for k in range(40):
        batch = Batch(problem.sample(Rng(range(1000 * k, 1000 * k + 64)), 64))
        loss = objective(batch, Stream(k)).value
        slopes.append(torch.stack(torch.autograd.grad(loss, [network.shift, network.tilt])))
    s = torch.stack(slopes)
    z = s.mean(0) / (s.std(0) / len(s) ** 0.5)
    assert float(z.abs().max()) < 4.5, f"the gradient at the exact denoiser is {z.tolist()} standard errors from 0"
    batch = Batch(problem.sample(Rng(range(2000)), 2000))
    least = float(objective(batch, Stream(1)).value.detach())
    for parameter in (network.shift, network.tilt):
        for move in (-0.3, 0.3):
            with torch.no_grad():
                parameter.fill_(move)
            assert float(objective(batch, Stream(1)).value.detach()) > least
            with torch.no_grad():
                parameter.zero_()


@pytest.mark.parametrize("process", AFFINE)
@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("which", ["min_snr", "p2"])
def test_weights_on_the_output_are_weights_on_x_0(which: str, name: str, process: str) -> None:
    """weight |out - target|^2 = w(SNR) |x_0(out) - x_0|^2, whatever the network predicts."""
    p, q = AFFINE[process], SINGLE[name]
    weight: Weight = min_snr(5.0) if which == "min_snr" else p2(0.5, 2.0)
    x_0 = torch.randn(3, 2).double()
    for t in inner_times(p, 5):
        snr = p.log_snr(t).exp()
        on_x_0 = snr.clamp(max=5.0) if which == "min_snr" else snr * (2.0 + snr) ** -0.5
        x_t = p.marginal(x_0, t).sample(Rng(range(3)))
        target = q.target(p, x_0, x_t, t)
        out = target + torch.randn(3, 2).double()
        error = mean_rest((q.posterior(p, out, x_t, t).mean - x_0) ** 2)
        torch.testing.assert_close(weight(p, q, t) * mean_rest((out - target) ** 2), on_x_0 * error, rtol=1e-6, atol=0)


def test_weights_of_the_papers() -> None:
    """On VP min-SNR is min(1, gamma/SNR) on eps, and min(SNR, gamma)/(SNR + 1) on v; P2 is (k + SNR)^-gamma on eps."""
    p, t = VP(), inner_times(VP(), 9)
    snr = p.log_snr(t).exp()
    torch.testing.assert_close(min_snr(5.0)(p, Eps(), t), (5 / snr).clamp(max=1))
    torch.testing.assert_close(min_snr(5.0)(p, V(), t), snr.clamp(max=5) / (snr + 1))
    torch.testing.assert_close(min_snr(5.0)(p, X0(), t), snr.clamp(max=5))
    torch.testing.assert_close(p2(0.7, 1.5)(p, Eps(), t), (1.5 + snr) ** -0.7)
    assert torch.equal(uniform(p, Eps(), t), torch.ones_like(t))
    with pytest.raises(UsageError, match="gamma must be positive"):
        min_snr(0)


class Recorder(nn.Module):
    """Keeps the conditions that it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: list[Tensor] = []

    def forward(self, x: Tensor, noise: Tensor, cond: Cond = NO_COND) -> Tensor:
        self.labels.append(cond["label"])
        return torch.zeros_like(x)


def test_conditions_are_dropped_at_their_rate_and_levels_are_reported() -> None:
    network = Recorder()
    objective = Denoising(Preconditioned(network, VP(), Eps()), Identity(), UniformTimes(), cond_dropout=0.25)
    n = 4000
    loss = objective(Batch(torch.zeros(n, 2), {"label": torch.ones(n, dtype=torch.int64)}), Stream(0))
    missing = float((network.labels[0] == -1).double().mean())
    assert missing == pytest.approx(0.25, abs=5 * (0.1875 / n) ** 0.5)
    assert loss.levels is not None
    t, error = loss.levels
    assert t.shape == error.shape == (n,)
    assert float(loss.value.detach()) == pytest.approx(1, abs=0.1)  # predicting 0 for eps
    torch.testing.assert_close(error.mean(), loss.value)


def test_misuse_is_named() -> None:
    network = Recorder()
    with pytest.raises(UsageError, match=r"cond_dropout must lie in \[0, 1\), got 1"):
        Denoising(Preconditioned(network, VP(), Eps()), Identity(), UniformTimes(), cond_dropout=1)
    with pytest.raises(UsageError, match="variational bound"):
        Denoising(Preconditioned(network, VP(), LearnedRange(Eps(), 10)), Identity(), UniformTimes())


def test_uncertainty_is_the_log_of_the_loss_at_its_minimum() -> None:
    """The derivative by u vanishes at u = log E[L] and nowhere else."""

    class Level(nn.Module):
        def __init__(self, u: float) -> None:
            super().__init__()
            self.u = nn.Parameter(torch.tensor(u))

        def forward(self, noise: Tensor) -> Tensor:
            assert noise.shape == (500,)
            return self.u.expand(len(noise))

    problem = exact.gaussian(VP(), mean=0.0, var=1.0)
    denoising = Denoising(
        Preconditioned(ExactNetwork(problem, "eps"), VP(), Eps()), Identity(), UniformTimes(0.1, 0.9), weight=min_snr()
    )
    batch = Batch(problem.sample(Rng(range(500)), 500))
    value = float(denoising(batch, Stream(0)).value.detach())
    for u, slope in ((math.log(value), 0.0), (math.log(value) - 1, 1 - math.e)):
        level = Level(u)
        (gradient,) = torch.autograd.grad(Uncertain(denoising, level)(batch, Stream(0)).value, [level.u])
        assert float(gradient) == pytest.approx(slope, abs=1e-5)


def test_uncertainty_begins_at_zero_and_the_loss_with_it() -> None:
    problem = exact.gaussian(VP(), mean=0.0, var=1.0)
    denoising = Denoising(Preconditioned(ExactNetwork(problem, "eps"), VP(), Eps()), Identity(), UniformTimes())
    batch = Batch(problem.sample(Rng(range(50)), 50))
    both = Uncertain(denoising, Uncertainty())(batch, Stream(0)).value.detach()
    torch.testing.assert_close(both, denoising(batch, Stream(0)).value.detach())
