"""Classifier-free guidance on a mixture whose components are the classes: every quantity is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Ranged
from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng
from ornstein.denoisers import Denoiser
from ornstein.guidance import CFG
from ornstein.processes import VP
from ornstein.samplers import DDIM, simulate
from ornstein.samplers.grids import uniform
from ornstein.testing import exact
from ornstein.testing.order import Counting

PROCESS = VP()
PROBLEM = exact.mixture(PROCESS, [0.6, 0.4], [[-1.0, 0.0], [1.0, 0.5]], torch.tensor([0.3, 0.2]))
X = Rng(range(4)).normal((4, 2), dtype=torch.float64)
LABEL = {"label": torch.tensor([0, 1, 1, 0])}
T = torch.tensor(0.4, dtype=torch.float64)


def test_scale_one_is_the_conditional_denoiser() -> None:
    guided = CFG(PROBLEM.denoiser, 1.0)(X, T, LABEL)
    assert torch.equal(guided.mean, PROBLEM.denoiser(X, T, LABEL).mean)
    assert torch.equal(guided.var, PROBLEM.denoiser(X, T, LABEL).var)


@pytest.mark.parametrize("scale", [0.0, 2.5, 7.0])
def test_the_guided_score_adds_the_classifiers_gradient(scale: float) -> None:
    r"""score = \nabla log p_t(x) + scale \nabla log p(label | x): Bayes' rule, from densities alone."""
    mean = CFG(PROBLEM.denoiser, scale)(X, T, LABEL).mean
    alpha, var = PROCESS.alpha(T), PROCESS.sigma(T) ** 2
    x = X.clone().requires_grad_()
    classifier = PROBLEM.components(x, T).log().gather(1, LABEL["label"].unsqueeze(1)).sum()
    (gradient,) = torch.autograd.grad(classifier, x)
    torch.testing.assert_close((alpha * mean - X) / var, PROBLEM.score(X, T) + scale * gradient)


def test_missing_rows_are_unconditional_at_any_scale() -> None:
    cond = {"label": torch.tensor([0, -1, 1, -1])}
    mean = CFG(PROBLEM.denoiser, 5.0)(X, T, cond).mean
    plain = PROBLEM.denoiser(X, T).mean
    torch.testing.assert_close(mean[[1, 3]], plain[[1, 3]])
    assert bool(((mean - plain)[[0, 2]].abs() > 0.01).any(1).all())


def test_interval_applies_row_by_row_and_saves_calls_outside() -> None:
    counting = Counting(PROBLEM.denoiser)
    guided = CFG(counting, 3.0, interval=(0.3, 0.6))
    times = torch.tensor([0.2, 0.4, 0.6, 0.9], dtype=torch.float64).reshape(4, 1)
    mean = guided(X, times, LABEL).mean
    full, plain = CFG(PROBLEM.denoiser, 3.0)(X, times, LABEL).mean, PROBLEM.denoiser(X, times, LABEL).mean
    torch.testing.assert_close(mean, torch.where(torch.tensor([[0], [1], [1], [0]]).bool(), full, plain))
    assert counting.calls == 1  # both branches in one doubled batch
    outside = guided(X, torch.tensor(0.9).double(), LABEL)
    assert torch.equal(outside.mean, PROBLEM.denoiser(X, torch.tensor(0.9).double(), LABEL).mean)


def test_guidance_sharpens_the_class() -> None:
    n = 300
    cond = {"label": torch.zeros(n, dtype=torch.int64)}
    x = PROCESS.prior((n, 2)).sample(Rng(range(n))).double()
    shares = []
    for scale in (0.0, 1.0, 3.0):
        out = simulate(DDIM(CFG(PROBLEM.denoiser, scale)), x, uniform(PROCESS, 40, None, None), Rng(range(n)), cond)
        shares.append(float(PROBLEM.components(out, 1e-3)[:, 0].mean()))
    assert shares[0] == pytest.approx(0.6, abs=0.1)
    assert shares[0] < shares[1] <= shares[2]


def test_misuse_is_named() -> None:
    with pytest.raises(UsageError, match="guidance needs a condition"):
        CFG(PROBLEM.denoiser, 2.0)(X, T)
    with pytest.raises(UsageError, match="0 <= low < high <= 1"):
        CFG(PROBLEM.denoiser, 2.0, interval=(0.6, 0.3))


@pytest.mark.parametrize("phi", [0.0, 0.7, 1.0])
def test_rescaling_takes_back_the_contrast(phi: float) -> None:
    """The spread over a sample's coordinates is phi of the conditional one and 1 - phi of the guided one."""
    plain, strong = PROBLEM.denoiser(X, T, LABEL).mean, CFG(PROBLEM.denoiser, 4.0)(X, T, LABEL).mean
    mean = CFG(PROBLEM.denoiser, 4.0, rescale=phi)(X, T, LABEL).mean
    torch.testing.assert_close(mean.std(1), phi * plain.std(1) + (1 - phi) * strong.std(1))
    torch.testing.assert_close(mean / mean.norm(dim=1, keepdim=True), strong / strong.norm(dim=1, keepdim=True))


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(UsageError, match=r"share of rescaling must lie in \[0, 1\], got 1.5"):
        CFG(PROBLEM.denoiser, 4.0, rescale=1.5)


def test_a_learned_variance_passes_guidance_unchanged() -> None:
    class Learned(Denoiser):
        process = PROCESS

        def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Ranged:
            c = cond["label"].to(x_t)[:, None].expand_as(x_t)
            return Ranged(c * x_t, 0.1 + c**2, 0.2 + c)

    guided = CFG(Learned(), 3.0)(X, T, LABEL)
    alone = Learned()(X, T, LABEL)
    assert isinstance(guided, Ranged) and not torch.equal(guided.mean, alone.mean)
    assert torch.equal(guided.fraction, alone.fraction) and torch.equal(guided.var, alone.var)
