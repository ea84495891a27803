"""MeanFlow, shortcut and consistency objectives at exact maps, and what cannot be meant."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ornstein.codecs import Identity
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Stream
from ornstein.denoisers import EDMScaling, Preconditioned
from ornstein.denoisers.consistency import ConsistencyScaling, TrigFlow
from ornstein.denoisers.two_time import SPAN, TwoTime
from ornstein.networks.mlp import MLP
from ornstein.objectives.consistency import (
    Consistency,
    GridNeighbours,
    NearingNeighbours,
    constant,
    doubling_levels,
    rising_rate,
    root_levels,
)
from ornstein.objectives.followers import Averaged, Counter, Follower
from ornstein.objectives.mean_flow import MeanFlow, total_derivative
from ornstein.objectives.shortcut import Shortcut
from ornstein.objectives.times import UniformTimes
from ornstein.objectives.trig_consistency import LearnedWeight, TrigConsistency, tangent
from ornstein.processes import EDM, FlowMatching, Torus
from ornstein.testing import exact


def two_time(seed: int = 0) -> TwoTime:
    torch.manual_seed(seed)
    network = MLP(size=2, width=16, depth=1, conditions=(SPAN,)).double()
    nn.init.normal_(network.last.weight, std=0.3)
    return TwoTime(network, FlowMatching())


def test_the_total_derivative_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)

    class Smooth(nn.Module):
        def forward(self, x: Tensor, noise: Tensor, cond: Cond = NO_COND) -> Tensor:
            return (x.sum(1, keepdim=True) * noise[:, None] / 1000).sin() + cond["span"][:, :2] * x

    denoiser = TwoTime(Smooth(), FlowMatching())
    rng = Stream(0)
    x, v = rng.normal((20, 2), dtype=torch.float64), rng.normal((20, 2), dtype=torch.float64)
    t, s = 0.5 + 0.4 * rng.uniform((20, 1), dtype=torch.float64), 0.4 * rng.uniform((20, 1), dtype=torch.float64)
    u, rate = total_derivative(denoiser, x, t, s, v, NO_COND)
    h = 1e-6
    wanted = (denoiser.average(x + h * v, t + h, s) - denoiser.average(x - h * v, t - h, s)) / (2 * h)
    torch.testing.assert_close(u, denoiser.average(x, t, s))
    torch.testing.assert_close(rate, wanted, rtol=1e-6, atol=1e-6)


def test_meanflow_with_equal_times_is_flow_matching() -> None:
    denoiser = two_time()
    x_0 = Stream(1).normal((64, 2), dtype=torch.float64)
    objective = MeanFlow(denoiser, Identity(), UniformTimes(), equal=1.0, p=0.0)
    loss = objective(Batch(x_0), Stream(2)).value
    rng = Stream(2)
    t, s = objective.spans(rng, 64)
    assert torch.equal(t, s)
    x_1 = rng.normal_like(x_0)
    t = t[:, None]
    wanted = ((denoiser.average((1 - t) * x_0 + t * x_1, t, t) - (x_1 - x_0)) ** 2).sum(1).mean()
    torch.testing.assert_close(loss, wanted)


def test_meanflow_draws_both_kinds_of_spans() -> None:
    objective = MeanFlow(two_time(), Identity(), UniformTimes(), equal=0.75)
    t, s = objective.spans(Stream(0), 4000)
    assert bool((s <= t).all())
    assert abs(float((s == t).double().mean()) - 0.75) < 0.03
    apart = (t - s)[s < t]
    assert abs(float(apart.mean()) - 1 / 3) < 0.04  # of two independent uniform times


def test_meanflow_guides_its_target() -> None:
    """Where omega is not 1 rows with a label get another target, rows without one the plain one."""

    class Labelled(nn.Module):
        def forward(self, x: Tensor, noise: Tensor, cond: Cond = NO_COND) -> Tensor:
            return torch.ones_like(x) * (cond["label"] >= 0).to(x)[:, None]

    objective = MeanFlow(TwoTime(Labelled(), FlowMatching()), Identity(), UniformTimes(), omega=2.0, kappa=0.5)
    v, t = torch.full((2, 2), 3.0), torch.full((2, 1), 0.5, dtype=torch.float64)
    got = objective._guided(v, torch.zeros(2, 2), t, {"label": torch.tensor([1, -1])})
    torch.testing.assert_close(got, torch.tensor([[6.5, 6.5], [3.0, 3.0]]))


def test_shortcut_targets_are_two_half_jumps() -> None:
    denoiser = two_time()
    target = Follower(denoiser)
    target.take(denoiser)
    objective = Shortcut(denoiser, Identity(), target, finest=8)
    x = Stream(0).normal((3, 2), dtype=torch.float64)
    t = torch.tensor([[1.0], [0.5], [0.25]], dtype=torch.float64)
    d = torch.tensor([[0.5], [0.25], [0.125]], dtype=torch.float64)
    got = objective.bootstrap(x, t, d, NO_COND)
    with torch.no_grad():
        for i in range(3):
            xi, ti, di = x[i : i + 1], t[i : i + 1], d[i : i + 1]
            flow = bool(di <= 1 / 8)
            first = denoiser.average(xi, ti, ti if flow else ti - di)
            second = denoiser.average(xi - di * first, ti - di, ti - di if flow else ti - 2 * di)
            torch.testing.assert_close(got[i : i + 1], (first + second) / 2)


def test_shortcut_spans_are_those_of_sampling() -> None:
    objective = Shortcut(two_time(), Identity(), Follower(two_time()), finest=16)
    t, d = objective.spans(Stream(0), 2000)
    assert set(d.tolist()) == {1 / 2, 1 / 4, 1 / 8, 1 / 16}
    jumps = t / (2 * d)
    assert bool((jumps == jumps.round()).all()) and float(t.max()) == 1 and bool((t >= 2 * d).all())


def test_a_follower_starts_at_the_module_and_lags_behind() -> None:
    module = nn.Linear(1, 1, bias=False)
    follower = Follower(module)
    with torch.no_grad():
        module.weight.fill_(1.0)
    follower.follow(module, 0.9)
    assert float(follower.copy.weight) == 1.0 and not follower.copy.weight.requires_grad
    with torch.no_grad():
        module.weight.fill_(2.0)
    follower.follow(module, 0.9)
    assert float(follower.copy.weight.detach()) == pytest.approx(1.1)
    fresh = Follower(nn.Linear(1, 1, bias=False))
    fresh.load_state_dict(follower.state_dict())
    assert bool(fresh.ready) and float(fresh.copy.weight) == pytest.approx(1.1)


def test_an_averaged_objective_is_the_objective() -> None:
    module = nn.Linear(1, 1)
    follower = Follower(module)
    objective = MeanFlow(two_time(), Identity(), UniformTimes())
    batch = Batch(torch.zeros(4, 2, dtype=torch.float64))
    plain = objective(batch, Stream(0)).value
    assert torch.equal(Averaged(objective, follower, module, 100.0)(batch, Stream(0)).value, plain)
    assert int(follower.seen) == 4 and torch.equal(follower.copy.weight, module.weight)


class ExactF(nn.Module):
    """The network F of the exact consistency function of N(0.7, 0.25) with its boundary at sigma_min."""

    def __init__(self, scaling: ConsistencyScaling):
        super().__init__()
        self.scaling = scaling
        self.shift = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor, level: Tensor, cond: Cond = NO_COND) -> Tensor:
        sigma = (4 * level).exp()[:, None]
        d, epsilon = self.scaling.sigma_data, self.scaling.epsilon
        x = x * (sigma**2 + d**2).sqrt()
        f = 0.7 + (x - 0.7) * ((0.25 + epsilon**2) / (0.25 + sigma**2)).sqrt()
        skip = d**2 / ((sigma - epsilon) ** 2 + d**2)
        out = d * (sigma - epsilon) / (sigma**2 + d**2).sqrt()
        return (f - skip * x) / out.clamp_min(1e-12) + self.shift


def test_distillation_is_zero_at_the_exact_function() -> None:
    """The exact flow of Gaussian data as teacher: neighbours differ by the error of one Heun step alone."""
    process, scaling = EDM(0.002, 20.0), ConsistencyScaling(0.5, 0.002)
    denoiser = Preconditioned(ExactF(scaling), process, scaling)
    teacher = exact.gaussian(process, 0.7, 0.25).denoiser
    batch = Batch(0.7 + 0.5 * Stream(0).normal((200, 1), dtype=torch.float64))
    errors = []
    for n in (20, 40):
        neighbours = GridNeighbours(process, constant(n))
        objective = Consistency(denoiser, Identity(), neighbours, Counter(), teacher=teacher)
        errors.append(float(objective(batch, Stream(1)).value.detach()))
    assert errors[1] < 1e-4 and errors[1] < errors[0] / 16, errors  # (h^3)^2 = 64 times less in theory


def test_both_branches_have_the_same_dropout() -> None:
    process, scaling = EDM(0.002, 20.0), ConsistencyScaling(0.5, 0.002)
    masks: list[Tensor] = []

    class Dropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor, level: Tensor, cond: Cond = NO_COND) -> Tensor:
            masks.append(nn.functional.dropout(torch.ones_like(x), 0.5, self.training))
            return x * self.scale * masks[-1]

    denoiser = Preconditioned(Dropped(), process, scaling).train()
    Consistency(denoiser, Identity(), GridNeighbours(process, constant(5)), Counter())(
        Batch(torch.zeros(50, 4)), Stream(0)
    )
    assert torch.equal(masks[0], masks[1]) and 0 < float(masks[0].mean()) < 2


def test_the_boundary_is_exact() -> None:
    process, scaling = EDM(0.002, 80.0), ConsistencyScaling(0.5, 0.002)
    denoiser = Preconditioned(MLP(size=2, width=8, depth=1, embedding="fourier"), process, scaling)
    x = Stream(0).normal((5, 2))
    low = torch.tensor(process.t_min, dtype=torch.float64)
    assert torch.equal(denoiser(x, low).mean, x)


def test_curricula() -> None:
    levels = doubling_levels(400, 10, 80)
    assert [levels(k) for k in (0, 99, 100, 200, 300, 399, 9999)] == [11, 11, 21, 41, 81, 81, 81]
    root = root_levels(100, 2, 150)
    assert root(0) == 2 and root(100) == 151 and root(50) == math.ceil(math.sqrt(0.5 * (151**2 - 4) + 4) - 1) + 1
    assert rising_rate(0.9, constant(2), 2)(0) == pytest.approx(0.9)
    assert rising_rate(0.9, constant(151), 2)(0) == pytest.approx(0.9 ** (2 / 151))


def test_neighbours() -> None:
    process = EDM(0.002, 80.0)
    hi, lo = GridNeighbours(process, constant(18), (-1.1, 2.0))(Stream(0), 5000, 0)
    assert bool((hi > lo).all()) and float(lo.min()) == pytest.approx(0.002) and float(hi.max()) <= 80.0001
    assert abs(float(hi.log().median()) + 1.1) < 0.6
    near = NearingNeighbours(process, lambda k: k)
    gaps = []
    for stage in (0, 3, 6):
        hi, lo = near(Stream(0), 2000, stage)
        assert bool((hi > lo).all()) and float(lo.min()) >= 0.002
        gaps.append(float(((hi - lo) / hi).mean()))
    assert gaps[0] > gaps[1] > gaps[2]


def test_sigma_near_zero_has_the_data_as_its_neighbour() -> None:
    """At small sigma the first stage reaches below epsilon and is held there: f(x, epsilon) = x is the data."""
    hi, lo = NearingNeighbours(EDM(0.002, 80.0), constant(0), mean=-6.0, std=0.1)(Stream(0), 100, 0)
    assert bool((lo == 0.002).all()) and bool((hi > lo).all())


def test_the_tangent_vanishes_at_the_exact_consistency_function() -> None:
    """For Gaussian data of standard deviation sigma_data the function is x_0 = y: F = 0 on the circle, and g = 0."""
    process = EDM()
    denoiser = Preconditioned(_Zero(), process, TrigFlow(0.5))
    rng = Stream(0)
    y = 0.5 * rng.normal((50, 2), dtype=torch.float64)
    tau = 1.5 * rng.uniform((50, 1), dtype=torch.float64)
    # the flow's velocity at y is E[cos z - sin x_0 | y] = 0: both have the same variance
    _, g = tangent(denoiser, y, tau, torch.zeros_like(y), NO_COND)
    wanted = -tau.cos() * tau.sin() * y
    torch.testing.assert_close(
        g, wanted
    )  # f = cos(tau) y is not constant along that flow: the tangent says how far from it
    exact_network = Preconditioned(_Tangent(), process, TrigFlow(0.5))
    _, g = tangent(exact_network, y, tau, torch.zeros_like(y), NO_COND)
    torch.testing.assert_close(g, torch.zeros_like(g), rtol=0, atol=1e-12)


class _Zero(nn.Module):
    def forward(self, x: Tensor, tau: Tensor, cond: Cond = NO_COND) -> Tensor:
        return 0 * x * tau[:, None]


class _Tangent(nn.Module):
    """F with cos(tau) y - sin(tau) d F(y/d) = y."""

    def forward(self, x: Tensor, tau: Tensor, cond: Cond = NO_COND) -> Tensor:
        return -x * (tau[:, None] / 2).tan()


def test_what_cannot_be_meant() -> None:
    edm = EDM(0.002, 20.0)
    scaled = Preconditioned(nn.Identity(), edm, ConsistencyScaling(0.5, 0.002))
    plain = Preconditioned(nn.Identity(), edm, EDMScaling(0.5))
    grid = GridNeighbours(edm, constant(5))
    cases: list[tuple[type[Exception], str, object]] = [
        (UsageError, "equal, the part", lambda: MeanFlow(two_time(), Identity(), UniformTimes(), equal=2)),
        (UsageError, r"p >= 0 and c > 0", lambda: MeanFlow(two_time(), Identity(), UniformTimes(), c=0)),
        (UsageError, "s must not exceed t", lambda: two_time().average(torch.zeros(1, 2), *_times(0.2, 0.5))),
        (CapabilityError, "Torus is not", lambda: TwoTime(nn.Identity(), Torus())),  # type: ignore[arg-type]
        (UsageError, "power of two of at least 2, got 12", lambda: _shortcut(finest=12)),
        (UsageError, "share of the batch", lambda: _shortcut(part=1.0)),
        (UsageError, "rate must lie in", lambda: _shortcut(rate=1.0)),
        (UsageError, "bound must be positive", lambda: _shortcut(bound=0.0)),
        (
            CapabilityError,
            "needs the process EDM and ConsistencyScaling",
            lambda: Consistency(plain, Identity(), grid, Counter()),
        ),
        (UsageError, "make them the same", lambda: Consistency(_other_boundary(edm), Identity(), grid, Counter())),
        (
            UsageError,
            "differ in sigma_max: 80 and 20",
            lambda: Consistency(scaled, Identity(), grid, Counter(), teacher=_teacher()),
        ),
        (UsageError, "belong together", lambda: Consistency(scaled, Identity(), grid, Counter(), rate=constant(0.9))),
        (UsageError, "at least 2 levels, got 1", lambda: GridNeighbours(edm, constant(1))(Stream(0), 2, 0)),
        (UsageError, "1 <= s_0 <= s_1, got 20 and 10", lambda: doubling_levels(100, 20, 10)),
        (UsageError, "first rate of a slow copy", lambda: rising_rate(1.0, constant(2), 2)),
        (UsageError, "q, by which", lambda: NearingNeighbours(edm, constant(0), q=1.0)),
        (UsageError, "sigma_data must be positive", lambda: ConsistencyScaling(0)),
        (UsageError, "epsilon, the noise level", lambda: ConsistencyScaling(0.5, -1)),
        (CapabilityError, "needs TrigFlow", lambda: TrigConsistency(plain, Identity(), Counter(), LearnedWeight())),
        (UsageError, "same sigma_data", _other_teacher),
    ]
    for error, message, build in cases:
        with pytest.raises(error, match=message):
            build()  # type: ignore[operator]


def _times(t: float, s: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64)


def _shortcut(finest: int = 8, part: float = 0.25, rate: float = 0.9, bound: float = 4.0) -> Shortcut:
    return Shortcut(two_time(), Identity(), Follower(two_time()), rate, finest, part, bound)


def _other_boundary(edm: EDM) -> Preconditioned:
    return Preconditioned(nn.Identity(), edm, ConsistencyScaling(0.5, 0.01))


def _teacher() -> Preconditioned:
    return Preconditioned(nn.Identity(), EDM(0.002, 80.0), EDMScaling(0.5))


def _other_teacher() -> TrigConsistency:
    student = Preconditioned(nn.Identity(), EDM(), TrigFlow(0.5))
    other = Preconditioned(nn.Identity(), EDM(), TrigFlow(1.0))
    return TrigConsistency(student, Identity(), Counter(), LearnedWeight(), teacher=other)
