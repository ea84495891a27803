r"""Extended Analytic-DPM: DDPM's model, and a head that predicts a variance for each value of the image, after the training.

Two stages. ``denoiser`` is DDPM's training. ``moment`` trains a small network beside the averaged one, which stays as it is, on
the square of the noise (SN) or of what the network misses of it (NPR). The head reads the noisy image and the
predicted noise; the authors' reads the last features of the U-Net.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.moments import LearnedMoment
from ornstein.denoisers.parametrizations import Eps
from ornstein.networks.headed import Headed
from ornstein.networks.mp_unet import MPUNet
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.followers import Averaged, Follower
from ornstein.objectives.moments import MomentMatching
from ornstein.objectives.times import DiscreteTimes
from ornstein.recipes.images.analytic_dpm import DATA_RANGE, kernel
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update
from ornstein.training.optim import OptimizerSpec


@dataclass(frozen=True, kw_only=True)
class ExtendedAnalyticDPM(DDPM):
    """DDPM's fields, the moment and its head, and the kernel."""

    moment: Literal["noise", "residual"] = "noise"
    """"noise" is SN, the better one for samples; "residual" is NPR, the better one for likelihood"""
    head_width: int = 32
    head_share: float = 0.25
    """share of ``steps`` that trains the head, at least one"""
    head_lr: float = 1e-3
    eta: float = 1.0
    """1 is DDPM's kernel, 0 DDIM's"""
    pixels: float = 1.0
    """of 256: bound of the mean size of the noise in the last noisy step; 1 or 2 in the paper, 0 for none"""
    sampling_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.head_share < 1:
            raise UsageError(f"head_share is a share of the steps and must lie in (0, 1), got {self.head_share}")
        if self.head_width < 1 or not self.head_lr > 0:
            raise UsageError(f"the head needs a positive width and rate, got {self.head_width} and {self.head_lr}")
        if not 0 <= self.eta <= 1:
            raise UsageError(f"eta must lie in [0, 1], got {self.eta}")
        if self.pixels < 0:
            raise UsageError(f"pixels must be positive, or 0 for no bound, got {self.pixels}")

    def lengths(self) -> tuple[int, int]:
        """Steps of the two stages."""
        second = max(1, int(self.steps * self.head_share))
        return max(1, self.steps - second), second


@recipe(
    "extended-analytic-dpm",
    area="images",
    title="Estimating the Optimal Covariance with Imperfect Mean in Diffusion Probabilistic Models (Bao et al. 2022)",
    paper="arxiv:2206.07309",
    claim="a diagonal covariance from a learned second moment beats any isotropic one, and its residual form mends a wrong mean",
    equations="var = v^2 + c^2 sigma_t^2/alpha_t^2 u; SN: u = h - eps_theta^2, h = E[eps^2 | x_t]; "
    "NPR: u = E[(eps - eps_theta)^2 | x_t]; c = alpha_s - alpha_t sqrt(sigma_s^2 - v^2)/sigma_t",
    bibtex="@inproceedings{bao2022extended, title={Estimating the Optimal Covariance with Imperfect Mean in Diffusion "
    "Probabilistic Models}, author={Bao, Fan and Li, Chongxuan and Sun, Jiacheng and Zhu, Jun and Zhang, Bo}, "
    "booktitle={ICML}, year={2022}}",
)
def extended_analytic_dpm(c: ExtendedAnalyticDPM = ExtendedAnalyticDPM()) -> System:
    """The extended Analytic-DPM system."""
    plain = ddpm(c)
    inner = plain.denoiser
    assert isinstance(inner, Preconditioned)
    head = MPUNet(
        channels=2 * c.channels,
        out_channels=c.channels,
        widths=(c.head_width,),
        blocks=1,
        attention=(),
        patch=c.patch,
        bandwidth=1 / 250,
    )
    parametrization = LearnedMoment(Eps(), c.moment, DATA_RANGE)
    denoiser = Preconditioned(Headed(inner.network, head), inner.process, parametrization, channels_last=True)
    average = Follower(inner.network)

    def training(system: System, data: Data) -> Iterator[Stage]:
        inner.autocast = denoiser.autocast = c.autocast
        first, second = c.lengths()
        times = DiscreteTimes(c.chain)
        objective = Denoising(inner, system.codec, times, cond_dropout=c.cond_dropout)
        followed = Averaged(objective, average, inner.network, c.ema_half_life)
        yield Stage("denoiser", data, [Update(followed, list(inner.parameters()), c.optimizer())], first)
        # The network that will draw the samples is the averaged one; the head is trained beside it, and it stays.
        inner.network.load_state_dict(average.copy.state_dict())
        spec = OptimizerSpec(lr=c.head_lr, betas=(0.9, 0.99), decay="cosine", decay_steps=second, clip=c.clip or None)
        moment = MomentMatching(denoiser, system.codec, times, cond_dropout=c.cond_dropout)
        yield Stage("moment", data, [Update(moment, list(head.parameters()), spec)], second)

    return dataclasses.replace(
        plain,
        recipe="extended-analytic-dpm",
        denoiser=denoiser,
        training=training,
        sampler=get("analytic_dpm", options=kernel(c.eta, c.pixels)),
        extra={"average": average},
    )
