r"""Analytic-DPM: DDPM's model, and after its training one number for each step of the chain, from which variances follow.

Two stages. ``denoiser`` is DDPM's training. ``variance`` moves no weight: the averaged network predicts the noise of data
at all steps of the chain, and the mean of its square is kept: the best variance of any kernel and stride is a formula in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from ornstein.core.errors import UsageError
from ornstein.denoisers.analytic import AnalyticVariance
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.followers import Averaged, Follower
from ornstein.objectives.measuring import MeasuredVariance
from ornstein.objectives.times import DiscreteTimes
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.analytic_dpm import pixel_deviation
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update

DATA_RANGE = (-1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class AnalyticDPM(DDPM):
    """DDPM's fields, how long the variance is measured, and the kernel."""

    measuring: float = 0.05
    """share of ``steps`` that measures, at least one"""
    eta: float = 1.0
    """1 is DDPM's kernel, 0 DDIM's"""
    pixels: float = 1.0
    """of 256: bound of the mean size of the noise in the last noisy step; 1 or 2 in the paper, 0 for none"""
    sampling_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.measuring < 1:
            raise UsageError(f"measuring is a share of the steps and must lie in (0, 1), got {self.measuring}")
        if not 0 <= self.eta <= 1:
            raise UsageError(f"eta must lie in [0, 1], got {self.eta}")
        if self.pixels < 0:
            raise UsageError(f"pixels must be positive, or 0 for no bound, got {self.pixels}")

    def lengths(self) -> tuple[int, int]:
        """Steps of the two stages."""
        second = max(1, int(self.steps * self.measuring))
        return max(1, self.steps - second), second


def kernel(eta: float, pixels: float) -> dict[str, float]:
    """The options of the sampler that two fields of a config ask for."""
    return {"eta": eta} | ({"last_std": pixel_deviation(pixels, DATA_RANGE)} if pixels else {})


@recipe(
    "analytic-dpm",
    area="images",
    title="Analytic-DPM: an Analytic Estimate of the Optimal Reverse Variance in Diffusion Probabilistic Models "
    "(Bao et al. 2022)",
    paper="arxiv:2201.06503",
    claim="the best reverse variance is a formula in the model's own mean squared output: better bounds and samples in few steps",
    equations="Gamma_t = E|eps_theta(x_t, t)|^2/D; Var[x_0 | x_t] = sigma_t^2/alpha_t^2 (1 - Gamma_t); "
    "var = v^2 + c^2 Var[x_0 | x_t], c = alpha_s - alpha_t sqrt(sigma_s^2 - v^2)/sigma_t",
    bibtex="@inproceedings{bao2022analytic, title={Analytic-DPM: an Analytic Estimate of the Optimal Reverse Variance in "
    "Diffusion Probabilistic Models}, author={Bao, Fan and Li, Chongxuan and Zhu, Jun and Zhang, Bo}, booktitle={ICLR}, "
    "year={2022}}",
)
def analytic_dpm(c: AnalyticDPM = AnalyticDPM()) -> System:
    """The Analytic-DPM system."""
    plain = ddpm(c)
    inner = plain.denoiser
    assert isinstance(inner, Preconditioned)
    denoiser = AnalyticVariance(inner, c.chain, DATA_RANGE)
    average = Follower(inner)

    def training(system: System, data: Data) -> Iterator[Stage]:
        inner.autocast = c.autocast
        first, second = c.lengths()
        objective = Denoising(inner, system.codec, DiscreteTimes(c.chain), cond_dropout=c.cond_dropout)
        followed = Averaged(objective, average, inner, c.ema_half_life)
        yield Stage("denoiser", data, [Update(followed, list(inner.parameters()), c.optimizer())], first)
        # The network that will draw the samples is the averaged one, and so the variance is its own.
        inner.load_state_dict(average.copy.state_dict())
        yield Stage("variance", data, [Update(MeasuredVariance(denoiser, system.codec), [])], second)

    return dataclasses.replace(
        plain,
        recipe="analytic-dpm",
        denoiser=denoiser,
        training=training,
        sampler=get("analytic_dpm", options=kernel(c.eta, c.pixels)),
        extra={"average": average},
    )
