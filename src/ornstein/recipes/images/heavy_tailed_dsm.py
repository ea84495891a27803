r"""Heavy-tailed denoising score matching: data are noised by a generalised normal law, whose tails reach rare places."""

from __future__ import annotations

from dataclasses import dataclass

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.scores import ScoreNetwork
from ornstein.objectives.heavy_tailed import HeavyTailedScore
from ornstein.objectives.times import UniformTimes
from ornstein.processes.heavy_tailed import HeavyTailedVE
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class HeavyTailedDSM(NetworkConfig):
    """The noise's law and levels, and the annealing."""

    beta: float = 1.0
    """1 is Laplace's law, 2 the Gaussian"""
    sigma_min: float = 0.01
    sigma_max: float = 20.0
    inner: int = 5
    """Langevin steps at each level"""
    rate: float = 0.1
    """of the Langevin steps, in squares of the level"""
    sampling_steps: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")
        HeavyTailedVE(self.beta, self.sigma_min, self.sigma_max)


@recipe(
    "heavy-tailed-dsm",
    area="images",
    title="Heavy-tailed denoising score matching (Deasy et al. 2021)",
    paper="arxiv:2112.09788",
    claim="noise with heavier tails covers regions of low density better, and with them rare classes",
    equations="x_t = x_0 + sigma_t u, q(u) ~ exp(-(|u|/a)^beta); loss sigma^2 |s_theta(x_t, t) - grad log q(x_t | x_0)|^2/2; "
    "annealed Langevin steps",
    bibtex="@article{deasy2021heavy, title={Heavy-tailed denoising score matching}, author={Deasy, Jacob and "
    "Simidjievski, Nikola and Li{\\`o}, Pietro}, journal={arXiv:2112.09788}, year={2021}}",
)
def heavy_tailed_dsm(c: HeavyTailedDSM = HeavyTailedDSM()) -> System:
    """The heavy-tailed system."""
    denoiser = ScoreNetwork(c.network(), HeavyTailedVE(c.beta, c.sigma_min, c.sigma_max))
    codec = Scale()

    def objective(system: System) -> HeavyTailedScore:
        denoiser.autocast = c.autocast
        return HeavyTailedScore(denoiser, codec, UniformTimes(), c.cond_dropout)

    return System(
        recipe="heavy-tailed-dsm",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("score_annealing", options={"inner": c.inner, "rate": c.rate}),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
