"""Lines between given ends: couplings, the regression's optimum, and what cannot be meant."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from ornstein.codecs import Identity
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Stream
from ornstein.denoisers import Eps, Preconditioned, Velocity
from ornstein.objectives.couplings import optimal_transport
from ornstein.objectives.interpolating import Interpolating, from_noise, given_pairs
from ornstein.objectives.times import Fixed, UniformTimes
from ornstein.processes import VP, FlowMatching


class Linear(nn.Module):
    """v = -MU + slope(t) (x - m_t), the exact velocity between two Gaussians, plus a shift and a tilt."""

    def __init__(self, gamma: float, std_0: float, std_1: float, mean: float):
        super().__init__()
        self.gamma, self.s0, self.s1, self.mean = gamma, std_0, std_1, mean
        self.shift, self.tilt = nn.Parameter(torch.zeros(()).double()), nn.Parameter(torch.zeros(()).double())

    def forward(self, x: Tensor, noise: Tensor, cond: Cond = NO_COND) -> Tensor:
        t = noise[:, None] / 1000
        var = (1 - t) ** 2 * self.s0**2 + t**2 * self.s1**2 + self.gamma**2 * t * (1 - t)
        # E[dx_t/dt | x_t]: the covariance of the velocity and x_t over the variance of x_t
        cov = -(1 - t) * self.s0**2 + t * self.s1**2 + self.gamma**2 * (1 - 2 * t) / 2
        return -self.mean + cov / var * (x - (1 - t) * self.mean) + self.shift + self.tilt * x


@pytest.mark.parametrize("gamma", [0.0, 0.8])
def test_the_exact_velocity_minimises_the_loss(gamma: float) -> None:
    """Between two Gaussians, neither of them standard: the gradient at the closed form is 0 within its scatter."""
    network = Linear(gamma, 0.5, 1.4, 0.7)
    denoiser = Preconditioned(network, FlowMatching(), Velocity())
    objective = Interpolating(denoiser, given_pairs, UniformTimes(0.05, 0.95), gamma=gamma)
    rng, slopes = Stream(0), []
    for _ in range(60):
        pair = {
            "x_0": 0.7 + 0.5 * rng.normal((200, 1), dtype=torch.float64),
            "x_1": 1.4 * rng.normal((200, 1), dtype=torch.float64),
        }
        loss = objective(Batch(pair), rng).value
        slopes.append(torch.stack(torch.autograd.grad(loss, [network.shift, network.tilt])))
    s = torch.stack(slopes)
    z = s.mean(0) / (s.std(0) / len(s) ** 0.5)
    assert float(z.abs().max()) < 4.5


def test_the_assignment_is_the_best_of_all() -> None:
    rng = Stream(3)
    x_0, x_1 = rng.normal((6, 2)), rng.normal((6, 2))
    paired = optimal_transport(x_0, x_1)
    cost = float(((x_0 - paired) ** 2).sum())
    best = min(float(((x_0 - x_1[list(p)]) ** 2).sum()) for p in itertools.permutations(range(6)))
    assert cost == pytest.approx(best)
    assert sorted(paired[:, 0].tolist()) == sorted(x_1[:, 0].tolist())


def test_a_coupling_keeps_the_noise_and_shortens_the_lines() -> None:
    ends = from_noise(Identity(), optimal_transport)
    x = Stream(0).normal((64, 2))
    x_0, x_1 = ends(Batch(x), Stream(1))
    plain = from_noise(Identity())(Batch(x), Stream(1))[1]
    assert torch.equal(x_0, x) and torch.equal(x_1.sort(0).values, plain.sort(0).values)
    assert float(((x_0 - x_1) ** 2).sum()) < 0.5 * float(((x_0 - plain) ** 2).sum())


def test_a_fixed_time_trains_one_step() -> None:
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, x: Tensor, noise: Tensor, cond: Cond = NO_COND) -> Tensor:
            seen.append(noise)
            return 0 * x

    denoiser = Preconditioned(Spy(), FlowMatching(), Velocity())
    pair = {"x_0": torch.zeros(4, 2), "x_1": torch.ones(4, 2)}
    loss = Interpolating(denoiser, given_pairs, Fixed(1.0))(Batch(pair), Stream(0))
    assert seen[0].tolist() == [1000.0] * 4 and float(loss.value) == 1.0


def objective(ends: object = given_pairs, **options: float) -> Interpolating:
    denoiser = Preconditioned(nn.Identity(), FlowMatching(), Velocity())
    return Interpolating(denoiser, given_pairs, UniformTimes(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("x_0", "x_1", "error", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(4, 2), UsageError, r"differ in shape: \(3, 2\) and \(4, 2\)"),
        (torch.full((3, 2), torch.nan), torch.zeros(3, 2), DataError, "not finite"),
    ],
)
def test_pairs_that_cannot_be_meant(x_0: Tensor, x_1: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        objective()(Batch({"x_0": x_0, "x_1": x_1}), Stream(0))


def test_arguments_that_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match="gamma must be >= 0, got -1"):
        objective(gamma=-1)
    with pytest.raises(UsageError, match="cond_dropout must lie in"):
        objective(cond_dropout=1.0)
    with pytest.raises(CapabilityError, match="need FlowMatching and Velocity, got VP and Eps"):
        Interpolating(Preconditioned(nn.Identity(), VP(), Eps()), given_pairs, UniformTimes())
    with pytest.raises(UsageError, match="equal size, got 3 and 4"):
        optimal_transport(torch.zeros(3, 1), torch.zeros(4, 1))
    with pytest.raises(UsageError, match=r"a time lies in \(0, 1\], got 0"):
        Fixed(0)
