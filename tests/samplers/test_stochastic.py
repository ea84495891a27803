"""Stochastic samplers: what each does exactly, options beyond the defaults, names of other tools, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.core.errors import CapabilityError, OrnsteinError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.denoisers import Denoiser
from ornstein.processes import EDM, VE, VP, CategoricalProcess, FlowMatching, Torus
from ornstein.samplers import (
    DDIM,
    DPMPP2MSDE,
    DPMPP3MSDE,
    DPMPPSDE,
    HMC,
    MALA,
    AdaptiveSDE,
    Ancestral,
    AnnealedLangevin,
    ConsistentAnnealed,
    DPM2Ancestral,
    DPMPP2SAncestral,
    EDMHeun,
    Interval,
    Langevin,
    PredictorCorrector,
    Restart,
    ReverseDiffusion,
    SASolver,
    get,
    simulate,
)
from ornstein.samplers.annealed_langevin import langevin_step
from ornstein.samplers.correctors import Corrector
from ornstein.samplers.sa_solver import adams, moments
from ornstein.testing import exact
from ornstein.testing.order import exact_law, measured_order, sampled_law
from testing.tables import PerCoordinate

DOWN = torch.linspace(0.9, 0.1, 12, dtype=torch.float64)


@pytest.mark.parametrize("process", [VP(), FlowMatching(), EDM()], ids=["vp", "flow", "edm"])
def test_edm_churn_keeps_the_order_of_the_flow(process: Any) -> None:
    """Raising the noise is exact in law, so that the law converges at Heun's order with churn as without."""
    problem = exact.gaussian(process, 0.7, 0.25)
    low = 0.1 if not isinstance(process, EDM) else 0.01
    coarse, fine = (
        sampled_law(EDMHeun(problem.denoiser, churn=4.0, steps=n), problem, torch.linspace(0.9, low, n + 1).double())
        for n in (64, 128)
    )
    target = exact_law(problem, low)
    assert 3.4 < coarse.distance(target) / fine.distance(target) < 4.9


def test_edm_churn_from_where_the_signal_vanishes() -> None:
    problem = exact.gmm8(FlowMatching())
    x = problem.process.prior((3, 2)).sample(Rng(range(3)))
    out = simulate(EDMHeun(problem.denoiser, churn=4.0, steps=8), x, torch.linspace(1, 0, 9), Rng(range(3)))
    assert bool(torch.isfinite(out).all())


@pytest.mark.parametrize("scale", [1.0, 1.55, 2.0])
def test_consistent_annealing_keeps_the_noise_on_the_schedule(scale: float) -> None:
    """Data at one point: after every update the deviation is exactly that of the level; annealed Langevin's is above it."""
    process = VE()
    problem = exact.gaussian(process, 0.0, 0.0)
    grid = torch.linspace(0.9, 0.5, 6, dtype=torch.float64)
    law = sampled_law(ConsistentAnnealed(problem.denoiser, scale=scale), problem, grid)
    assert torch.allclose(law.std, process.sigma(grid[-1]), rtol=1e-9)
    other = sampled_law(AnnealedLangevin(problem.denoiser, step=0.4, moves=1), problem, grid)
    assert float(other.std / process.sigma(grid[-1])) > 1.5


def test_consistent_annealing_with_scale_1_is_ddim_and_a_fixed_eta_is_bounded() -> None:
    problem = exact.gmm8(VP())
    x = torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(4, 2)
    a = simulate(ConsistentAnnealed(problem.denoiser, scale=1.0), x, DOWN, Rng(range(4)))
    assert torch.allclose(a, simulate(DDIM(problem.denoiser), x, DOWN, Rng(range(4))), atol=1e-7)
    with pytest.raises(UsageError, match=r"eta = 0.01 lies outside \[1 - gamma, 1 \+ gamma\)"):
        simulate(ConsistentAnnealed(problem.denoiser, eta=0.01), x, DOWN, Rng(range(4)))


@pytest.mark.parametrize(
    ("high", "levels", "moves", "eps"), [(50, 232, 5, 6.2e-6), (90, 500, 5, 3.3e-6), (190, 1086, 3, 1.8e-6)]
)
def test_the_step_of_ncsnv2(high: float, levels: int, moves: int, eps: float) -> None:
    """Technique 4 gives the steps that the paper lists for CIFAR-10, CelebA 64 and LSUN 128 (all with sigma_L = 0.01)."""
    step = langevin_step((high / 0.01) ** (1 / (levels - 1)), moves)
    assert abs(step * 0.01**2 / eps - 1) < 0.03


def test_langevin_moves_have_the_bias_that_they_are_known_to_have() -> None:
    """Without rejection the variance comes to rest at var/(1 - h/(2 var))."""
    process = VP()
    problem = exact.gaussian(process, 0.3, 0.5)
    t = torch.tensor(0.3, dtype=torch.float64)
    var = float(exact_law(problem, 0.3).std ** 2)
    h = 2 * (0.4 * float(process.sigma(t))) ** 2
    x = Stream(0).normal((100_000, 1), dtype=torch.float64)
    x, chance = Langevin(snr=0.4, moves=60).run(problem.denoiser, x, t, Stream(1))
    wanted = var / (1 - h / (2 * var))
    assert wanted / var > 1.05
    assert abs(float(x.var()) / wanted - 1) < 5 * (2 / 100_000) ** 0.5
    assert bool((chance == 1).all())


def test_the_norm_rule_is_the_level_rule_in_many_dimensions() -> None:
    process = VE()
    problem = exact.gaussian(process, torch.zeros(4096), torch.zeros(4096))
    t = torch.tensor(0.5, dtype=torch.float64)
    x = process.sigma(t) * Stream(0).normal((4, 4096), dtype=torch.float64)
    a, b = (Langevin(rule=rule).run(problem.denoiser, x, t, Stream(1))[0] for rule in ("level", "norm"))
    assert float((a - b).norm() / (a - x).norm()) < 0.05


@pytest.mark.parametrize("corrector", [MALA(step=0.8, moves=8), HMC(step=0.9, leaps=4, moves=6)], ids=["mala", "hmc"])
def test_accepted_moves_keep_the_law_exactly(corrector: Corrector) -> None:
    """Long steps on two modes, from draws of p_t: still p_t, where the same moves without rejection leave it."""
    process = VP()
    problem = exact.mixture(process, [0.3, 0.7], [[-1.0], [1.2]], 0.04)
    t, n = torch.tensor(0.25, dtype=torch.float64), 40_000
    x = process.marginal(problem.sample(Stream(0), n), t).sample(Stream(1))

    def moments(y: Tensor) -> Tensor:
        return torch.cat([y, y**2, y**3], 1)

    moved, chance = corrector.run(problem.denoiser, x, t, Stream(2))
    fresh = process.marginal(problem.sample(Stream(3), n), t).sample(Stream(4))
    gap, error = moments(moved).mean(0) - moments(fresh).mean(0), moments(fresh).std(0) * (2 / n) ** 0.5
    assert bool((gap.abs() < 5 * error).all())
    assert 0.3 < float(chance.mean()) < 0.99
    free = HMC(step=0.9, leaps=4, moves=6, accept=False) if isinstance(corrector, HMC) else Langevin(snr=0.63, moves=8)
    biased = free.run(problem.denoiser, x, t, Stream(2))[0]
    assert bool(((moments(biased).mean(0) - moments(fresh).mean(0)).abs() > 5 * error).any())


def test_predictor_corrector_with_hmc_draws_the_data() -> None:
    problem = exact.gmm8(VP(), std=0.25)
    n = 4000
    sampler = PredictorCorrector(problem.denoiser, predictor=Ancestral, corrector=HMC())
    x = problem.process.prior((n, 2)).sample(Stream(0)).double()
    chances: list[float] = []
    out = simulate(
        sampler, x, torch.linspace(1, 0, 17), Stream(1), on_step=lambda s: chances.append(float(s.state[1].mean()))
    )
    data = problem.sample(Stream(2), n)
    for power in (1, 2, 4):
        a, b = out**power, data**power
        assert bool(((a.mean(0) - b.mean(0)).abs() < 5 * (a.std(0) + b.std(0)) / n**0.5).all())
    assert min(chances) > 0.6


def test_adams_weights_are_exact_on_polynomials() -> None:
    rate = torch.tensor([1e-6, 0.3, 0.999, 1.001, 4.0, 30.0], dtype=torch.float64)
    v = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    for j in range(4):
        assert torch.allclose(moments(rate, 4)[:, j], ((-rate[:, None] * v).exp() * v**j).mean(1), rtol=1e-6)
    k, h = torch.tensor(2.0).double(), torch.tensor(0.7).double()
    nodes = [torch.tensor(u).double() for u in (0.0, 0.7, 1.1)]
    weights = adams(k, h, nodes)
    wanted = k * h * ((-k * h * v).exp() * (1 - 3 * (h * v) + 2 * (h * v) ** 2)).mean()
    assert torch.allclose(
        sum(w * (1 - 3 * u + 2 * u**2) for w, u in zip(weights, nodes, strict=True)), wanted, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("make", "order", "steps"),
    [
        (lambda d: SASolver(d, predictor=1, corrector=0), 1, 32),
        (lambda d: SASolver(d, predictor=3, corrector=3), 2, 128),
        (lambda d: SASolver(d, tau=0.0, corrector=0), 2, 32),
        (lambda d: DPMPP2MSDE(d, solver="heun"), 2, 128),
        (lambda d: DPMPP3MSDE(d, curvature=0.5), 2, 128),
        (lambda d: DPMPP2MSDE(d, eta=0.5), 2, 128),
        (lambda d: DPMPPSDE(d, eta=0.5), 2, 32),
        (lambda d: DPMPP2SAncestral(d, eta=0.5), 2, 32),
        (lambda d: DPM2Ancestral(d, eta=0.0), 2, 32),
        (lambda d: ConsistentAnnealed(d, scale=3.0), 1, 32),
    ],
)
def test_orders_of_other_options(make: Callable[[Denoiser], Any], order: int, steps: int) -> None:
    problem = exact.gaussian(VP(), 0.7, 0.25)
    measured = measured_order(make, problem, steps=steps, denoiser=exact.MeanOnly(problem.denoiser))
    assert order - 0.2 < measured < order + 0.5


def test_sde_solvers_without_noise_are_those_of_the_flow() -> None:
    problem = exact.gmm8(VP())
    x = torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(4, 2)
    flow = simulate(get("dpmpp_2m")(problem.denoiser), x, DOWN, Rng(range(4)))
    for sampler in (DPMPP2MSDE(problem.denoiser, eta=0.0), get("dpmpp_2m")(problem.denoiser)):
        assert torch.allclose(simulate(sampler, x, DOWN, Rng(range(4))), flow, atol=1e-10)


def test_dpmpp_3m_sde_has_order_3_without_noise() -> None:
    problem = exact.gaussian(VP(), 0.7, 0.25)
    order = measured_order(lambda d: DPMPP3MSDE(d, eta=0.0, curvature=1.0), problem, 128, ramp=True)
    assert abs(order - 3) < 0.2


class Biased(Denoiser):
    """Another denoiser whose estimates are pulled to 0 by a tenth."""

    def __init__(self, denoiser: Denoiser):
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        return Dirac(0.9 * self.denoiser(x_t, t, cond).mean)


def test_restart_contracts_errors_of_earlier_steps() -> None:
    """Few steps from far away leave an error; going the last part again from fresh noise makes it smaller."""
    problem = exact.gaussian(VP(), 0.7, 0.25)
    grid = torch.tensor([0.9, 0.6, 0.4, 0.2, 0.1], dtype=torch.float64)
    target = exact_law(problem, 0.1)
    level = float(VP().sigma(grid[-1]) / VP().alpha(grid[-1]))
    plain, again = (
        sampled_law(Restart(problem.denoiser, [Interval(1.001 * level, 3 * level, k, 16)]), problem, grid).distance(
            target
        )
        for k in (0, 6)
    )
    assert again < 0.5 * plain


def test_restart_counts() -> None:
    """Two calls a step, and those of each crossed interval: 2 x repeats x steps."""
    from ornstein.testing.order import Counting

    problem = exact.gmm8(EDM())
    counting = Counting(problem.denoiser)
    grid = EDM().time(-2 * torch.tensor([40.0, 5.0, 1.0, 0.3], dtype=torch.float64).log())
    x = torch.zeros(2, 2, dtype=torch.float64)
    simulate(Restart(counting, [Interval(0.9, 2.0, 3, 4), Interval(6.0, 8.0, 1, 2)]), x, grid, Rng(range(2)))
    assert counting.calls == 2 * 3 + 2 * 3 * 4 + 2 * 1 * 2


@pytest.mark.parametrize("tolerance", [0.01, 0.1])
def test_adaptive_steps_follow_the_tolerance(tolerance: float) -> None:
    problem = exact.gaussian(VP(), torch.full((16,), 0.7), torch.full((16,), 0.25))
    n = 2000
    x = problem.process.prior((n, 16)).sample(Stream(0)).double()
    sampler = AdaptiveSDE(problem.denoiser, relative=tolerance)
    out = simulate(sampler, x, torch.tensor([1.0, 0.0]), Stream(1))
    assert abs(float(out.mean()) - 0.7) < 0.01 + 5 * 0.5 / (16 * n) ** 0.5
    assert abs(float(out.std()) - 0.5) < 0.1 * tolerance + 0.01


def test_adaptive_steps_refuse_what_is_no_number() -> None:
    class Broken(Biased):
        def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
            return Dirac(torch.full_like(x_t, torch.nan))

    sampler = AdaptiveSDE(Broken(exact.gmm8(VP()).denoiser))
    with pytest.raises(OrnsteinError, match=r"AdaptiveSDE left non-finite values.*samples \[0, 1\], t = 0.9"):
        simulate(sampler, torch.zeros(2, 2), DOWN, Rng(range(2)))


@pytest.mark.parametrize(
    ("spelling", "own"),
    [
        ("DPM++ SDE Karras", "dpmpp_sde"),
        ("DPM++ 2M SDE", "dpmpp_2m_sde"),
        ("dpmpp_2m_sde_gpu", "dpmpp_2m_sde"),
        ("DPM++ 3M SDE Karras", "dpmpp_3m_sde"),
        ("DPM++ 2S a", "dpmpp_2s_ancestral"),
        ("dpm_2_ancestral", "dpm_2_ancestral"),
        ("KDPM2AncestralDiscreteScheduler", "dpm_2_ancestral"),
        ("DPMSolverSDEScheduler", "dpmpp_sde"),
        ("SASolverScheduler", "sa_solver"),
        ("Restart", "restart"),
        ("ScoreSdeVeScheduler", "predictor_corrector"),
        ("gotta-go-fast", "adaptive_sde"),
    ],
)
def test_names_of_other_tools(spelling: str, own: str) -> None:
    assert get(spelling).name == own


@pytest.mark.parametrize(
    "spelling", ["Euler a", "euler_ancestral", "EulerAncestralDiscreteScheduler", "Euler a Karras"]
)
def test_euler_ancestral_is_ddim_with_eta_1(spelling: str) -> None:
    choice = get(spelling)
    assert choice.name == "ddim" and dict(choice.options) == {"eta": 1.0}
    assert dict(get("DPM++ 2M SDE Heun").options) == {"solver": "heun"}
    problem = exact.gmm8(EDM())
    x = torch.linspace(-3, 3, 8, dtype=torch.float64).reshape(4, 2)
    t, s = (torch.tensor(v / 80, dtype=torch.float64) for v in (5.0, 3.0))
    got, _ = choice(problem.denoiser).step(x, t, s, None, Rng(range(4)))
    up = (9 * (25 - 9) / 25) ** 0.5
    d = (x - problem.denoiser(x, t).mean) / 5
    wanted = x + d * ((9 - up**2) ** 0.5 - 5) + up * Rng(range(4)).normal((4, 2), dtype=torch.float64)
    assert torch.allclose(got, wanted, atol=1e-12)


VP_GMM = exact.gmm8(VP()).denoiser


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EDMHeun(VP_GMM, churn=-1.0), "churn must be >= 0, got -1"),
        (lambda: EDMHeun(VP_GMM, churn=1.0, steps=4, s_min=2.0, s_max=1.0), "0 <= s_min <= s_max"),
        (lambda: EDMHeun(VP_GMM, s_noise=-0.1), "s_noise must be >= 0, got -0.1"),
        (lambda: Langevin(snr=0.0), "signal-to-noise ratio .* must be positive"),
        (lambda: Langevin(moves=0), "at least 1 move"),
        (lambda: Langevin(rule="batch"), "'level' or 'norm', got 'batch'"),
        (lambda: MALA(step=-1.0), "step of MALA must be positive"),
        (lambda: HMC(step=0.0), "step of HMC must be positive"),
        (lambda: HMC(leaps=0), "at least 1 leapfrog step, got 0"),
        (lambda: AnnealedLangevin(VP_GMM, step=1.5), r"must lie in \(0, 1\), got 1.5"),
        (lambda: langevin_step(0.9, 5), "ratio above 1"),
        (lambda: ConsistentAnnealed(VP_GMM, scale=0.5), "scale must be at least 1"),
        (lambda: ConsistentAnnealed(VP_GMM, eta=2.5), r"eta must lie in \(0, 2\)"),
        (lambda: DPMPP2SAncestral(VP_GMM, eta=1.5), r"eta must lie in \[0, 1\], got 1.5"),
        (lambda: DPMPPSDE(VP_GMM, eta=-0.1), "strength of the noise, must be >= 0, got -0.1"),
        (lambda: DPMPP2MSDE(VP_GMM, solver="euler"), "'midpoint' or 'heun', got 'euler'"),
        (lambda: SASolver(VP_GMM, tau=-1.0), "strength of the noise, must be >= 0"),
        (lambda: SASolver(VP_GMM, predictor=5), "orders? in 1 .. 4"),
        (lambda: SASolver(VP_GMM, between=(0.8, 0.2)), "interval of times"),
        (lambda: Interval(0.5, 0.1), "0 < low < high"),
        (lambda: Interval(0.1, 0.5, repeats=-1), "repeats >= 0"),
        (lambda: Restart(VP_GMM, solver=Ancestral), "Ancestral draws noise of its own"),
        (lambda: AdaptiveSDE(VP_GMM, relative=0.0), "0 < relative < 1"),
        (lambda: AdaptiveSDE(VP_GMM, absolute=-1.0), "absolute > 0"),
        (lambda: AdaptiveSDE(VP_GMM, safety=1.5), "0 < safety < 1"),
    ],
)
def test_options_that_cannot_be_meant(make: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


@pytest.mark.parametrize("corrector", [MALA(), HMC()])
def test_accepting_needs_a_density(corrector: Corrector) -> None:
    mean = exact.MeanOnly(VP_GMM)
    name = type(corrector).__name__
    with pytest.raises(
        CapabilityError, match=f"{name} accepts and rejects by the density, which MeanOnly does not know"
    ):
        PredictorCorrector(mean, corrector=corrector)
    PredictorCorrector(mean, corrector=HMC(accept=False))


@pytest.mark.parametrize("kind", [ReverseDiffusion, PredictorCorrector, DPMPPSDE, Restart, AdaptiveSDE])
@pytest.mark.parametrize("process", [Torus(), CategoricalProcess.uniform(3)], ids=["torus", "categorical"])
def test_processes_that_lack_the_rung(kind: type, process: Any) -> None:
    class Fixed(Biased):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.process = process

    with pytest.raises(CapabilityError, match=f"{kind.__name__} needs a process that is GaussianProcess; .*that fit: "):
        kind(Fixed())


def test_levels_of_each_coordinate_have_no_time() -> None:
    problem = exact.gaussian(PerCoordinate(), torch.zeros(3), torch.ones(3))
    with pytest.raises(
        CapabilityError, match="Restart needs the time of a noise level; in PerCoordinate each coordinate"
    ):
        Restart(problem.denoiser)
