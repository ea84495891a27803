"""Heavy-tailed score matching: the noise's law, the identity behind the loss, and a rare mode."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Identity
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Score
from ornstein.core.rng import Random, Stream
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.scores import ScoreNetwork
from ornstein.objectives.heavy_tailed import HeavyTailedScore
from ornstein.objectives.times import UniformTimes
from ornstein.processes.heavy_tailed import GeneralisedNormal, HeavyTailedVE
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.rare import MEANS, RARE, STD, RarePoints
from ornstein.recipes.checks.toys import MLP
from ornstein.samplers.base import simulate
from ornstein.samplers.grids import uniform
from ornstein.samplers.score_annealing import ScoreAnnealing
from ornstein.training.fit import Engine, Stage, Update, fit
from ornstein.training.optim import OptimizerSpec

STEPS, DRAWS, DIMENSION = 1500, 2000, 3072
LEVELS, INNER, RATE = 60, 100, 0.1
"""Of the annealing, long enough that the exact score gives the rare mode its share. With 30 levels of 10 moves the exact
score itself gives 0.14 (Laplace) and 0.10 (Gaussian) for 0.05: that measures the annealing, not the noise."""


def norm_spread(beta: float, rng: Random) -> tuple[float, float]:
    """Standard deviation of |u|/sqrt(D) over draws, and sqrt((kurtosis - 1)/D)/2, its value for large D."""
    u = GeneralisedNormal(torch.zeros(DRAWS, DIMENSION), torch.ones(()), beta).sample(rng)
    lg = math.lgamma
    kurtosis = math.exp(lg(5 / beta) + lg(1 / beta) - 2 * lg(3 / beta))
    return float((u.norm(dim=1) / DIMENSION**0.5).std()), ((kurtosis - 1) / DIMENSION) ** 0.5 / 2


def identity_error(beta: float) -> float:
    """max |E[target | x] - grad log p(x)| for a mixture of two Gaussians under unit noise, by quadrature."""
    x_0 = torch.linspace(-6, 6, 6001, dtype=torch.float64)
    p = 0.7 * torch.exp(-((x_0 + 1) ** 2) / (2 * 0.3**2)) + 0.3 * torch.exp(-((x_0 - 1.5) ** 2) / (2 * 0.3**2))
    p = p / p.sum()
    x = torch.linspace(-4, 4, 201, dtype=torch.float64) + 0.001  # between the points of x_0: at them the target jumps

    def law(at: Tensor) -> tuple[Tensor, Tensor]:
        noise = GeneralisedNormal(x_0.expand(len(at), -1).unsqueeze(-1), torch.ones((), dtype=torch.float64), beta)
        here = at[:, None, None].expand(-1, len(x_0), 1)
        flat = GeneralisedNormal(noise.mean.reshape(-1, 1), noise.std, beta)
        density = flat.log_prob(here.reshape(-1, 1)).exp().reshape(len(at), -1)
        return density, noise.score(here)[..., 0]

    q, target = law(x)
    total = (p * q).sum(1)
    h = 1e-4
    slope = ((p * law(x + h)[0]).sum(1).log() - (p * law(x - h)[0]).sum(1).log()) / (2 * h)
    return float(((p * q * target).sum(1) / total - slope).abs().max())


@final
class ExactScore(Denoiser):
    r"""The score of the rare mode's data under this noise, beta 1 or 2, by differentiating the density.

    A Gaussian of deviation s and Laplace noise of width b: p(d) = e^{s^2/2b^2} / 4b (e^{-d/b} erfc((s/b - d/s)/sqrt 2) +
    e^{d/b} erfc((s/b + d/s)/sqrt 2)).
    """

    process: HeavyTailedVE

    def __init__(self, process: HeavyTailedVE):
        super().__init__()
        self.process = process

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        """``[B]``, of points ``[B, 2]`` float64."""
        d, s = x[:, None] - MEANS, STD
        if self.process.beta == 2:
            each = -(d**2) / (2 * (s**2 + sigma**2)) - 0.5 * (2 * math.pi * (s**2 + sigma**2)).log()
        else:
            b = sigma / math.sqrt(2)
            left = -d / b + _log_erfc((s / b - d / s) / math.sqrt(2))
            right = d / b + _log_erfc((s / b + d / s) / math.sqrt(2))
            each = torch.logaddexp(left, right) + s**2 / (2 * b**2) - (4 * b).log()
        masses = torch.tensor([1 - RARE, RARE], dtype=torch.float64)
        return (each.sum(-1) + masses.log()).logsumexp(1)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Score:
        with torch.enable_grad():
            x = x_t.detach().double().requires_grad_()
            total = self.log_density(x, self.process.sigma(t.double().reshape(-1)[0])).sum()  # one level for all
            return Score(torch.autograd.grad(total, x)[0].to(x_t.dtype))


def _log_erfc(z: Tensor) -> Tensor:
    """log erfc(z), without underflow."""
    far = torch.special.erfcx(z.clamp_min(0)).log() - z**2
    return torch.where(z > 0, far, torch.erfc(z.clamp_max(0)).log())


def rare_share(beta: float, seed: int) -> float:
    """The share of samples nearer to the rare mode, of a score learned with this noise."""
    torch.manual_seed(seed)
    process = HeavyTailedVE(beta, 0.05, 8.0)
    denoiser = ScoreNetwork(MLP(), process)
    params = list(denoiser.parameters())
    spec = OptimizerSpec(lr=2e-3, warmup=100, decay="cosine", decay_steps=STEPS)
    update = Update(HeavyTailedScore(denoiser, Identity(), UniformTimes(0.05)), params, spec)
    fit(
        denoiser,
        [Stage("score", RarePoints(256, seed + 1), [update], STEPS)],
        Engine(seed=seed, ema_half_life=20_000),
    )
    return annealed_share(denoiser, seed)


@torch.no_grad()
def annealed_share(denoiser: Denoiser, seed: int) -> float:
    """The share of 4000 annealed chains that end nearer to the rare mode."""
    process, rng = denoiser.process, Stream(seed + 2)
    x = process.prior((4000, 2)).sample(rng)
    x = simulate(ScoreAnnealing(denoiser, INNER, RATE), x, uniform(process, LEVELS, None, 0.05), rng)
    return float((x[:, 0] > 0).double().mean())


def measure(seed: int) -> dict[str, float]:
    """Spreads of norms, the identity's error, and errors of the rare mode's share with Laplace and Gaussian noise."""
    rng = Stream(seed)
    found = {}
    for name, beta in (("gaussian", 2.0), ("laplace", 1.0), ("heavier", 0.75)):
        measured, exact = norm_spread(beta, rng)
        found[f"norm_spread_{name}"], found[f"norm_error_{name}"] = measured, abs(measured / exact - 1)
    found["identity_error_laplace"] = identity_error(1.0)
    found["identity_error_1.5"] = identity_error(1.5)
    for name, beta in (("laplace", 1.0), ("gaussian", 2.0)):
        known = ExactScore(HeavyTailedVE(beta, 0.05, 8.0))
        found[f"exact_error_{name}"] = abs(annealed_share(known, seed) - RARE)
        share = rare_share(beta, seed)
        found[f"rare_share_{name}"], found[f"rare_error_{name}"] = share, abs(share - RARE)
    return found


_SPREAD = "a deviation from 2000 draws has a standard error of 1.6 %; the formula is for large D"
_ANNEALED = "with the exact score the annealing itself must leave the share alone; 4000 chains scatter by 0.0034"

CHECK = Check(
    recipe="heavy-tailed-dsm",
    paper="better balance between classes on imbalanced image data with Laplace noise (figures not confirmed)",
    claim="norms of the noise spread as its kurtosis says; the regression's optimum is the score of the noised data; on two "
    "modes with masses 0.95 and 0.05, a network trained with Laplace noise gives the rare one its mass about as well as with "
    "Gaussian noise, or better",
    conditions=(
        Condition("norm_error_gaussian", "<", 0.08, _SPREAD),
        Condition("norm_error_laplace", "<", 0.08, _SPREAD),
        Condition("norm_error_heavier", "<", 0.12, f"{_SPREAD}, and heavier tails scatter more"),
        Condition("identity_error_laplace", "<", 1e-3, "the grid of 0.002 meets the kink of Laplace's law"),
        Condition("identity_error_1.5", "<", 1e-3, "quadrature and differences of 1e-4 err by less"),
        Condition("exact_error_laplace", "<", 0.015, _ANNEALED),
        Condition("exact_error_gaussian", "<", 0.015, _ANNEALED),
        Condition(
            "rare_error_laplace",
            "<",
            "rare_error_gaussian",
            "a small gain is claimed; the mean over seeds may be at most half as much again",
            1.5,
            on="mean",
        ),
    ),
    measure=measure,
)
