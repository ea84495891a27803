"""The flexible forward SDE: closed forms, the bound by enumeration, and what cannot be meant."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import ornstein
from ornstein.codecs.base import Identity
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.core.shapes import expand
from ornstein.denoisers.whitened import WhitenedEps
from ornstein.objectives.flexible_bound import FlexibleBound
from ornstein.processes import CLD, VP
from ornstein.processes.flexible import Flexible
from ornstein.recipes.checks import flexible_diffusion as check
from ornstein.samplers import DDIM, GDDIM, simulate
from ornstein.testing import exact

TURN = torch.tensor([[0.0, 0.7], [-0.7, 0.0]])
NOISE = torch.tensor([[1.2, 0.3], [0.3, 0.5]])


def test_closed_forms() -> None:
    assert check.covariance_error(0, 2000) < 1e-7
    assert check.stays(0) < 1e-12
    plain, turned = check.slowest(0)
    assert plain == pytest.approx(0.01) and turned > 0.1


def test_plain_noise_is_vp_and_gddim_is_ddim() -> None:
    t = torch.tensor([0.05, 0.5, 1.0], dtype=torch.float64)
    process = Flexible(2)
    torch.testing.assert_close(process.flow(process.clock(t))[:, 0, 0], VP().alpha(t))
    torch.testing.assert_close(process.spread(process.clock(t))[:, 1, 1], VP().sigma(t) ** 2)
    torch.testing.assert_close(process.time(process.clock(t)), t)
    cov = torch.eye(2, dtype=torch.float64) * 0.0625
    means = torch.tensor([[0.9, 0.2], [-0.6, 0.4]], dtype=torch.float64)
    ours = GDDIM(exact.coupled(process, [0.4, 0.6], means, cov).denoiser, order=1)
    theirs = DDIM(exact.mixture(VP(), [0.4, 0.6], means, 0.0625).denoiser)
    x = Rng(range(8)).normal((8, 2), dtype=torch.float64)
    grid = torch.tensor([1.0, 0.6, 0.2, 1e-3, 0.0], dtype=torch.float64)
    a, b = (simulate(s, x, grid, Rng(range(8))) for s in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


class ExactEps(torch.nn.Module):
    """eps of an exact problem: -L' score."""

    def __init__(self, problem: Any):
        super().__init__()
        self.problem = problem

    def forward(self, x: torch.Tensor, t: torch.Tensor, cond: Cond = NO_COND) -> torch.Tensor:
        p, time = self.problem.process, (t / 1000).double()
        factor = torch.linalg.cholesky(p.spread(p.clock(time)))
        score = self.problem.score(x, expand(time, x)).unsqueeze(-1)
        return -(factor.mT @ score).squeeze(-1)


@pytest.mark.parametrize("learn", ["none", "both"])
def test_the_bound_is_the_entropy_where_the_score_is_exact(learn: Any) -> None:
    """Gaussian data: -E log p(x_0) up to what is lost at the ends, for any R and omega; and never below."""
    process = Flexible(2, NOISE, TURN, learn=learn)
    mean, cov = torch.tensor([[0.5, -0.3]]), torch.tensor([[0.4, 0.1], [0.1, 0.3]], dtype=torch.float64)
    problem = exact.coupled(process, [1.0], mean, cov)
    denoiser = WhitenedEps(ExactEps(problem), process)
    objective = FlexibleBound(denoiser, Identity())
    rng = Stream(0)
    x_0 = problem.sample(rng, 40_000)
    bound = objective.each(x_0, rng)[1].detach()
    entropy = 0.5 * float(torch.logdet(2 * math.pi * math.e * cov))
    error = float(bound.std()) / len(bound) ** 0.5
    assert entropy - 4 * error < float(bound.mean()) < entropy + 0.01 + 4 * error


def test_the_bound_reaches_the_forward_parameters() -> None:
    process = Flexible(2, NOISE, TURN, learn="both")
    denoiser = WhitenedEps(torch.nn.Linear(2, 2), process)
    denoiser.network.forward = lambda x, t, cond: 0.1 * x  # type: ignore[method-assign]
    x = Stream(0).normal((64, 2))
    value = FlexibleBound(denoiser, Identity()).each(x, Stream(1))[1].mean()
    grads = torch.autograd.grad(value, process.forward_parameters())
    h, before = 1e-5, process.turn.data.clone()
    step = torch.tensor([[0.0, h], [0.0, 0.0]])
    ends = []
    for sign in (1, -1):
        process.turn.data = before + sign * step.to(before)
        ends.append(float(FlexibleBound(denoiser, Identity()).each(x, Stream(1))[1].mean().detach()))
    assert float(grads[1][0, 1]) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-2)


def test_the_denoisers_mean_and_score_fit_together() -> None:
    process = Flexible(2, NOISE, TURN)
    problem = exact.coupled(process, [0.4, 0.6], torch.tensor([[0.9, 0.2], [-0.6, 0.4]]), 0.1 * torch.eye(2))
    denoiser = WhitenedEps(ExactEps(problem), process)
    t = torch.tensor([[0.8], [0.2], [0.01]], dtype=torch.float64)
    x = process.marginal(problem.sample(Rng(range(3)), 3), t).sample(Rng(range(3)))
    torch.testing.assert_close(denoiser(x, t).mean, problem.posterior(x, t).mean, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Flexible(2, torch.tensor([[1.0, 0.0], [0.0, -0.1]])), UsageError, "the least is -0.1"),
        (lambda: Flexible(2, torch.tensor([[1.0, 0.5], [0.0, 1.0]])), UsageError, "symmetric"),
        (lambda: Flexible(2, torch.eye(3)), UsageError, r"R must be \[2, 2\]"),
        (lambda: Flexible(2, None, torch.ones(2, 2)), UsageError, "antisymmetric; omega . omega' reaches 2"),
        (lambda: Flexible(2, None, torch.zeros(3, 3)), UsageError, r"omega must be \[2, 2\]"),
        (lambda: Flexible(4096), UsageError, "parts must lie in 1 .. 256; let them act on channels"),
        (lambda: Flexible(2, floor=1.0), UsageError, r"floor, the least eigenvalue of R, must lie in \[0, 1\)"),
        (lambda: Flexible(2, learn="all"), UsageError, "unknown value of learn 'all'"),  # type: ignore[arg-type]
        (lambda: WhitenedEps(torch.nn.Identity(), VP()), CapabilityError, "needs a LinearProcess, got VP"),
        (
            lambda: FlexibleBound(WhitenedEps(torch.nn.Identity(), CLD()), Identity()),
            CapabilityError,
            "needs Flexible, got CLD",
        ),
        (lambda: FlexibleBound(WhitenedEps(torch.nn.Identity(), Flexible(2)), Identity(), 0.0), UsageError, "first"),
    ],
)
def test_what_cannot_be_meant(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("flexible-diffusion", {"size": 9}, "even size, got 9"),
        ("flexible-diffusion", {"regime": "mix", "learn": "none"}, "leaves nothing to learn"),
        ("flexible-diffusion", {"forward_share": 1.0}, "forward_share must lie in"),
        ("flexible-diffusion", {"architecture": "ddpm_cifar10"}, "network mp_unet"),
        ("cld", {"mass": 0.3}, "critical damping"),
        ("cld", {"gamma": 0.0}, "gamma must be positive"),
        ("cld", {"sampling_steps": 0}, "sampling_steps must be at least 1"),
    ],
)
def test_configs_that_cannot_be_meant(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ornstein.build(name, settings={"size": 8, "widths": (64,), **settings})
