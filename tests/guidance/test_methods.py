"""Each method against what it should be: exact laws where there are some, its defining identity elsewhere."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, OrnsteinError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.guidance import (
    APG,
    CFG,
    CFGPP,
    Autoguidance,
    CFGZero,
    Classifier,
    Composition,
    Given,
    LowDensity,
    RescaledCFG,
    Reward,
    Without,
    label_log_prob,
)
from ornstein.guidance.table import GUIDANCE, Setting, get_method
from ornstein.processes import EDM, VP, CategoricalProcess, FlowMatching
from ornstein.samplers import DDIM, Heun, simulate
from ornstein.samplers.grids import karras, uniform
from ornstein.testing import exact

PROCESS = VP()
PROBLEM = exact.mixture(PROCESS, [0.5, 0.3, 0.2], [[-1.0, 0.0], [1.0, 0.5], [0.0, 1.5]], torch.tensor([0.1, 0.2, 0.05]))
X = Rng(range(4)).normal((4, 2), dtype=torch.float64)
LABEL = {"label": torch.tensor([0, 1, 2, 0])}
T = torch.tensor(0.4, dtype=torch.float64)


def classify(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
    """The Bayes classifier of noisy data."""
    return PROBLEM.components(x, t).log().gather(1, cond["label"].unsqueeze(1)).squeeze(1)


def gaussian(mean: list[float], var: list[float]) -> exact.GaussianProblem:
    return exact.gaussian(PROCESS, torch.tensor(mean), torch.tensor(var))


def unlabelled(problem: exact.Problem) -> Given:
    return Given(problem.denoiser, {"label": torch.tensor(-1)})


def flow(denoiser: torch.nn.Module, n: int = 2000, cond: Cond = NO_COND, steps: int = 60) -> Tensor:
    """Where the probability flow takes fixed noise."""
    process = denoiser.process
    x = process.prior((n, 2)).sample(Stream(0)).double()
    return simulate(Heun(denoiser), x, uniform(process, steps, None, None), Stream(1), cond)  # type: ignore[arg-type]


def same_law(found: Tensor, wanted: Tensor, room: float = 0.02) -> None:
    """Both come from the same noise by a smooth flow: they agree draw by draw, not only in law."""
    assert float((found - wanted).abs().mean()) < room


# -- classifier ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", [VP(), EDM(), FlowMatching()], ids=lambda p: type(p).__name__)
def test_the_exact_classifier_makes_the_conditional_denoiser(process: VP) -> None:
    problem = exact.mixture(process, [0.6, 0.4], [[-1.0, 0.0], [1.0, 0.5]], torch.tensor([0.3, 0.2]))
    label = {"label": torch.tensor([0, 1, 1, 0])}

    def log_prob(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        return problem.components(x, t).log().gather(1, cond["label"].unsqueeze(1)).squeeze(1)

    for t in (0.01, 0.5, 0.9):
        time = torch.tensor(t, dtype=torch.float64)
        guided = Classifier(unlabelled(problem), log_prob)(X, time, label).mean
        torch.testing.assert_close(guided, problem.denoiser(X, time, label).mean, atol=1e-9, rtol=1e-9)


def test_guided_draws_are_draws_of_the_class() -> None:
    n = 1500
    label = {"label": torch.ones(n, dtype=torch.int64)}
    guided = flow(Classifier(unlabelled(PROBLEM), classify), n, label)
    component = exact.gaussian(PROCESS, PROBLEM.means[1], PROBLEM.eigenvalues[1])
    same_law(guided, flow(component.denoiser, n))
    assert float(guided.mean(0).sub(PROBLEM.means[1]).abs().max()) < 0.05
    assert float(guided.var(0).mean()) == pytest.approx(0.2, abs=0.02)


def test_more_scale_is_purer() -> None:
    n = 400
    label = {"label": torch.full((n,), 2)}
    purity = [
        float(PROBLEM.components(flow(Classifier(unlabelled(PROBLEM), classify, s), n, label, 30), 1e-3)[:, 2].mean())
        for s in (0.0, 1.0, 4.0)
    ]
    assert purity[0] == pytest.approx(0.2, abs=0.07) and purity[0] < purity[1] < purity[2] + 1e-9


def test_a_networks_logits_and_rows_without_a_label() -> None:
    class Logits(torch.nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return PROBLEM.components(x, t / 1000).log()

    cond = {"label": torch.tensor([0, -1, 2, -1])}
    with torch.no_grad():  # as in sampling
        mean = Classifier(unlabelled(PROBLEM), label_log_prob(Logits()))(X, T, cond).mean
    wanted = PROBLEM.denoiser(X, T, cond).mean
    torch.testing.assert_close(mean, wanted, atol=1e-9, rtol=1e-9)


# -- relatives of classifier-free guidance ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [lambda d, s: RescaledCFG(d, s, 0.0), lambda d, s: APG(d, s, parallel=1.0)], ids=["rescale", "apg"]
)
def test_relatives_contain_plain_guidance(kind: type) -> None:
    wanted = CFG(PROBLEM.denoiser, 3.0)(X, T, LABEL).mean
    torch.testing.assert_close(kind(PROBLEM.denoiser, 3.0)(X, T, LABEL).mean, wanted)


@pytest.mark.parametrize("kind", [CFG, RescaledCFG, APG], ids=lambda k: k.__name__)
def test_scale_one_changes_nothing(kind: type) -> None:
    assert torch.equal(kind(PROBLEM.denoiser, 1.0)(X, T, LABEL).mean, PROBLEM.denoiser(X, T, LABEL).mean)


def test_rescaling_keeps_the_deviation_of_the_noise() -> None:
    x = torch.randn(4, 3, 6, 6, dtype=torch.float64)
    process = VP()
    means = torch.randn(2, 3, 6, 6).tolist()
    problem = exact.mixture(process, [0.5, 0.5], means, 0.3)
    label = {"label": torch.tensor([0, 1, 0, 1])}
    x_0 = RescaledCFG(problem.denoiser, 8.0, 1.0)(x, T, label).mean
    c, plain = problem.denoiser(x, T, label).mean, CFG(problem.denoiser, 8.0)(x, T, label).mean
    std = [process.eps(x, T, v).flatten(1).std(1) for v in (x_0, c, plain)]
    torch.testing.assert_close(std[0], std[1])
    assert float((std[2] - std[1]).abs().max()) > 1


def test_projected_guidance_leaves_out_the_part_along_the_estimate() -> None:
    c, u = PROBLEM.denoiser(X, T, LABEL).mean, PROBLEM.denoiser(X, T).mean
    change = APG(PROBLEM.denoiser, 5.0)(X, T, LABEL).mean - c
    assert float((change * c).sum(1).abs().max()) < 1e-10
    torch.testing.assert_close(change, 4 * ((c - u) - c * ((c - u) * c).sum(1, True) / (c * c).sum(1, True)))
    short = APG(PROBLEM.denoiser, 2.0, parallel=1.0, radius=0.01)(X, T, LABEL).mean - c
    torch.testing.assert_close(short.norm(dim=1), torch.full((4,), 0.01).double())


@pytest.mark.parametrize("process", [VP(), EDM(), FlowMatching(t_max=0.99)], ids=lambda p: type(p).__name__)
def test_cfgpp_is_its_papers_update(process: VP) -> None:
    """x_s = alpha_s (u + scale (c - u)) + sigma_s eps_u, written out, against DDIM under the wrapper."""
    problem = exact.mixture(process, [0.6, 0.4], [[-1.0, 0.0], [1.0, 0.5]], torch.tensor([0.3, 0.2]))
    grid = karras(process, 6)
    x = y = process.prior((4, 2)).sample(Rng(range(4))).double()
    label = {"label": torch.tensor([0, 1, 1, 0])}
    for t, s in pairwise(grid):
        c, u = problem.denoiser(y, t, label).mean, problem.denoiser(y, t).mean
        y = process.alpha(s) * (u + 0.6 * (c - u)) + process.sigma(s) * process.eps(y, t, u)
    found = simulate(DDIM(CFGPP(problem.denoiser, 0.6, grid)), x, grid, Rng(range(4)), label)
    torch.testing.assert_close(found, y, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("process", [VP(), FlowMatching()], ids=lambda p: type(p).__name__)
def test_cfg_zero_projects_the_velocity_and_stands_still_at_first(process: VP) -> None:
    problem = exact.mixture(process, [0.6, 0.4], [[-1.0, 0.0], [1.0, 0.5]], torch.tensor([0.3, 0.2]))
    label = {"label": torch.tensor([0, 1, 1, 0])}

    def velocity(x_0: Tensor, t: Tensor) -> Tensor:
        return process.d_alpha(t) * x_0 + process.d_sigma(t) * process.eps(X, t, x_0)

    c, u = (velocity(problem.denoiser(X, T, cond).mean, T) for cond in (label, NO_COND))
    s = (c * u).sum(1, True) / (u * u).sum(1, True)
    found = velocity(CFGZero(problem.denoiser, 2.5)(X, T, label).mean, T)
    torch.testing.assert_close(found, s * u + 2.5 * (c - s * u))
    early = torch.tensor(0.97, dtype=torch.float64)
    still = velocity(CFGZero(problem.denoiser, 2.5)(X, early, label).mean, early)
    torch.testing.assert_close(still, torch.zeros_like(X), atol=1e-10, rtol=0)


# -- a weaker model -----------------------------------------------------------------------------------------------


def test_autoguidance_is_the_ratio_of_the_scores() -> None:
    """Gaussians at every level: p_1 (p_1/p_0)^{w-1} is Gaussian, its precision w/v_1 - (w - 1)/v_0."""
    strong, weak = gaussian([0.5, 0.0], [0.2, 0.3]), gaussian([0.2, 0.1], [0.6, 0.6])
    guided = Autoguidance(strong.denoiser, weak.denoiser, 2.0)
    score = PROCESS.score(X, T, guided(X, T))
    (m_1, v_1), (m_0, v_0) = strong.law(T, X), weak.law(T, X)
    precision = 2 / v_1 - 1 / v_0
    mean = (2 * m_1 / v_1 - m_0 / v_0) / precision
    torch.testing.assert_close(score, (mean - X) * precision)
    ends = flow(guided)
    assert bool((ends.var(0) < 0.95 * flow(strong.denoiser).var(0)).all())


def test_autoguidance_at_scale_one_is_the_strong_model_bit_by_bit() -> None:
    weak = gaussian([0.2, 0.1], [0.6, 0.6])
    guided = Autoguidance(PROBLEM.denoiser, weak.denoiser, 1.0)
    assert torch.equal(guided(X, T).mean, PROBLEM.denoiser(X, T).mean)
    outside = Autoguidance(PROBLEM.denoiser, weak.denoiser, 3.0, interval=(0.5, 0.9))
    assert torch.equal(outside(X, T).mean, PROBLEM.denoiser(X, T).mean)


# -- products, negation, rewards ----------------------------------------------------------------------------------


def grid_problem(xs: tuple[float, ...], ys: tuple[float, ...]) -> exact.MixtureProblem:
    """Independent coordinates, each a mixture: a lattice of modes."""
    means = [[a, b] for a in xs for b in ys]
    return exact.mixture(PROCESS, torch.ones(len(means)), means, 0.05)


def test_conditions_on_independent_coordinates_multiply_exactly() -> None:
    whole = grid_problem((-1.0, 1.0), (-1.0, 1.0))
    right, up = grid_problem((1.0,), (-1.0, 1.0)), grid_problem((-1.0, 1.0), (1.0,))
    both = grid_problem((1.0,), (1.0,))
    composed = Composition(whole.denoiser, [right.denoiser, up.denoiser])
    for t in (0.05, 0.4, 0.9):
        time = torch.tensor(t, dtype=torch.float64)
        torch.testing.assert_close(composed(X, time).mean, both.denoiser(X, time).mean, atol=1e-9, rtol=1e-9)
    same_law(flow(composed, 300), flow(both.denoiser, 300), 1e-6)


def test_negative_weights_divide() -> None:
    base, part = gaussian([0.0, 0.0], [1.0, 1.0]), gaussian([1.0, 0.0], [2.0, 1.0])
    score = PROCESS.score(X, T, Composition(base.denoiser, [part.denoiser], [-0.5])(X, T))
    torch.testing.assert_close(score, 1.5 * base.score(X, T) - 0.5 * part.score(X, T))


def test_leaving_a_class_out_is_exact() -> None:
    rest = exact.mixture(PROCESS, [0.5, 0.3], PROBLEM.means[:2].tolist(), PROBLEM.eigenvalues[:2])
    without = Without(
        PROBLEM.denoiser,
        Given(PROBLEM.denoiser, {"label": torch.tensor(2)}),
        lambda x, t: PROBLEM.components(x, t)[:, 2].log(),
    )
    for t in (0.1, 0.4, 0.9):
        time = torch.tensor(t, dtype=torch.float64)
        torch.testing.assert_close(without(X, time).mean, rest.denoiser(X, time).mean, atol=1e-8, rtol=1e-8)
    same_law(flow(without, 500), flow(rest.denoiser, 500), 0.01)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_linear_reward_of_gaussian_data_is_exact(scale: float) -> None:
    """N(m, v) exp(scale a x) is N(m + scale v a, v), at every level."""
    a = torch.tensor([1.0, -0.5], dtype=torch.float64)
    problem = gaussian([0.3, -0.2], [0.5, 0.2])
    moved = exact.gaussian(PROCESS, problem.mean + scale * problem.var * a, problem.var)
    guided = Reward(problem.denoiser, lambda x: x @ a, scale)
    torch.testing.assert_close(guided(X, T).mean, moved.denoiser(X, T).mean)
    same_law(flow(guided, 300), flow(moved.denoiser, 300), 1e-6)


def test_a_reward_that_knows_noisy_states_is_exact() -> None:
    """The log-ratio of two laws at each level as the reward at the state turns one into the other."""
    other = exact.mixture(PROCESS, [1.0], [[0.5, 0.5]], 0.3)

    class Ratio:
        def __call__(self, x: Tensor) -> Tensor:
            return other.marginal_log_prob(x, T) - PROBLEM.marginal_log_prob(x, T)

    found = Reward(PROBLEM.denoiser, Ratio(), at="state")(X, T).mean
    torch.testing.assert_close(found, other.denoiser(X, T).mean)


# -- low density --------------------------------------------------------------------------------------------------


def test_low_density_moves_by_unit_gradients_of_both() -> None:
    problem = gaussian([0.0, 0.0], [0.3, 0.3])

    def near(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        return -50 * (x**2).sum(1)

    def real(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        return 0.001 * x[:, 0]

    guided = LowDensity(problem.denoiser, near, 0.5, real, 0.25)
    change = PROCESS.score(X, T, guided(X, T)) - problem.score(X, T)
    wanted = 0.5 * X / X.norm(dim=1, keepdim=True) + torch.tensor([0.25, 0.0])
    torch.testing.assert_close(change, wanted)
    assert torch.equal(LowDensity(problem.denoiser, near, 0.0)(X, T).mean, problem.denoiser(X, T).mean)


# -- the table and the refusals -----------------------------------------------------------------------------------


def test_a_sample_does_not_depend_on_its_batch() -> None:
    kinds = [
        RescaledCFG(PROBLEM.denoiser, 3.0),
        APG(PROBLEM.denoiser, 3.0, radius=0.5),
        CFGPP(PROBLEM.denoiser, 0.6, karras(PROCESS, 5)),
        CFGZero(PROBLEM.denoiser, 3.0),
        Classifier(PROBLEM.denoiser, classify, 2.0),
        LowDensity(PROBLEM.denoiser, classify, 0.5),
    ]
    times = torch.tensor([[0.1], [0.3], [0.5], [0.97]], dtype=torch.float64)
    for guided in kinds:
        whole = guided(X, times, LABEL).mean
        parts = [guided(X[i : i + 1], times[i : i + 1], {"label": LABEL["label"][i : i + 1]}).mean for i in range(4)]
        torch.testing.assert_close(whole, torch.cat(parts), msg=type(guided).__name__)


def test_every_row_of_the_table_builds_or_says_what_is_missing() -> None:
    for name, row in GUIDANCE.items():
        if name in ("perturbed_attention", "skip_layer"):
            with pytest.raises(CapabilityError, match="needs the network itself"):
                row.build(PROBLEM.denoiser, Setting(2.0))
            continue
        guided = row.build(PROBLEM.denoiser, Setting(0.5, grid=karras(PROCESS, 4), weak=PROBLEM.denoiser))
        assert guided(X, T, LABEL).mean.shape == X.shape
    assert get_method("PAG") is GUIDANCE["perturbed_attention"]


def constant(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
    return torch.zeros(len(x))


def test_misuse_is_named() -> None:
    denoiser = PROBLEM.denoiser
    for kind in (RescaledCFG, APG, CFGZero):
        with pytest.raises(
            UsageError, match=f"guidance needs a condition to strengthen, and {kind.__name__} was given"
        ):
            kind(denoiser, 2.0)(X, T)
    with pytest.raises(UsageError, match="unknown guidance method 'apgg': did you mean 'apg'"):
        get_method("apgg")
    with pytest.raises(UsageError, match="'autoguidance' needs a weaker model"):
        GUIDANCE["autoguidance"].build(denoiser, Setting(2.0))
    with pytest.raises(UsageError, match="depends on the sampler's grid"):
        GUIDANCE["cfgpp"].build(denoiser, Setting(0.5))
    with pytest.raises(UsageError, match=r"trained on different noise \(VP and EDM\)"):
        Autoguidance(denoiser, exact.gmm8(EDM()).denoiser, 2.0)
    with pytest.raises(UsageError, match="scale >= 0, got -1"):
        Autoguidance(denoiser, denoiser, -1.0)
    with pytest.raises(UsageError, match="classifier guidance needs scale >= 0, got -1"):
        Classifier(denoiser, classify, -1.0)
    with pytest.raises(CapabilityError, match="the classifier has no gradient"):
        Classifier(denoiser, constant)(X, T, LABEL)
    with pytest.raises(CapabilityError, match="the classifier must give one number a sample"):
        Classifier(denoiser, lambda x, t, c: x)(X, T, LABEL)
    with pytest.raises(OrnsteinError, match="the gradient of the reward is not finite"):
        Reward(denoiser, lambda x: x.sum(1) / 0.0 - math.inf * x.sum(1))(X, T)
    words = exact.categorical(CategoricalProcess.uniform(3), torch.ones(2, 3))
    with pytest.raises(CapabilityError, match="classifier guidance needs a GaussianProcess; CategoricalProcess is not"):
        Classifier(words.denoiser, classify)
    with pytest.raises(CapabilityError, match=r"CFG\+\+ needs an Affine process; CategoricalProcess is not"):
        CFGPP(words.denoiser, 0.5, torch.tensor([1.0, 0.0]))
    with pytest.raises(UsageError, match="strengths >= 0, got away -1"):
        LowDensity(denoiser, classify, -1.0)
    with pytest.raises(UsageError, match="real > 0 needs log_real"):
        LowDensity(denoiser, classify, 1.0, real=0.5)
    with pytest.raises(UsageError, match="2 weights were given for 1 parts"):
        Composition(denoiser, [denoiser], [1.0, 2.0])
    with pytest.raises(UsageError, match="at least one part"):
        Composition(denoiser, [])
    with pytest.raises(UsageError, match="radius must be positive"):
        APG(denoiser, 2.0, radius=0.0)
    with pytest.raises(UsageError, match="needs a label to move towards"):
        Classifier(denoiser, label_log_prob(torch.nn.Bilinear(2, 1, 3)))(X, T)
