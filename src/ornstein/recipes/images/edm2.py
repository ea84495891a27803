r"""EDM2: EDM on a network that keeps magnitudes, a loss that learns its own weight, and averages chosen after training.

Weights are forced to unit length at every step and no activation can grow, so one learning rate, decaying as 1/sqrt(t), serves
the whole run. Train with ``--snapshots`` and make an average of any width afterwards: ``ornstein ema RUN --std 0.1``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import EDMScaling
from ornstein.networks.uncertainty import Uncertainty
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import LogNormalSigma
from ornstein.objectives.uncertain import Uncertain
from ornstein.processes.gaussian import EDM as EDMProcess
from ornstein.recipes.images.common import NetworkConfig
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.stage import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class EDM2(NetworkConfig):
    """EDM's fields with EDM2's values, and the width of the uncertainty's features."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    sigma_data: float = 0.5
    p_mean: float = -0.4
    p_std: float = 1.0
    data_std: float = 0.5
    """standard deviation of the training images in [-1, 1]; they are rescaled so that it becomes sigma_data"""
    uncertainty_width: int = 128
    steps: int = 20_000
    lr: float = 1e-2
    warmup: int = 500
    decay_steps: int = 3000
    clip: float = 0.0
    guidance: float = 1.5
    """default scale when sampling a class-conditional model; unconditional ones take none"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.architecture != "mp_unet":
            raise UsageError(
                f"edm2 is made for the magnitude-preserving network: architecture must be 'mp_unet', got '{self.architecture}'"
            )
        if not self.data_std > 0:
            raise UsageError(f"data_std must be positive, got {self.data_std}")


@recipe(
    "edm2",
    area="images",
    title="Analyzing and Improving the Training Dynamics of Diffusion Models (Karras et al. 2024)",
    paper="arxiv:2312.02696",
    claim="with magnitudes kept constant nothing drifts in training, and the length of the average is chosen after it",
    equations="w^ = w/|w|, y = sum((1-t) a + t b)/sqrt((1-t)^2 + t^2); loss e^{-u(sigma)} lambda |D - x_0|^2 + u(sigma); "
    "ln sigma ~ N(-0.4, 1); average with weights tau^gamma, gamma chosen afterwards",
    bibtex="@inproceedings{karras2024edm2, title={Analyzing and Improving the Training Dynamics of Diffusion Models}, "
    "author={Karras, Tero and Aittala, Miika and Lehtinen, Jaakko and Hellsten, Janne and Aila, Timo and Laine, Samuli}, "
    "booktitle={CVPR}, year={2024}}",
)
def edm2(c: EDM2 = EDM2()) -> System:
    """The EDM2 system."""
    process = EDMProcess(c.sigma_min, c.sigma_max)
    denoiser = Preconditioned(c.network(bandwidth=1.0), process, EDMScaling(c.sigma_data), channels_last=True)
    uncertainty = Uncertainty(c.uncertainty_width)
    codec = Scale(c.sigma_data / c.data_std)

    def training(system: System, data: Data) -> Iterator[Stage]:
        denoiser.autocast = c.autocast
        times = LogNormalSigma(process, c.p_mean, c.p_std)
        objective = Uncertain(Denoising(denoiser, codec, times, cond_dropout=c.cond_dropout), uncertainty)
        params = [*denoiser.parameters(), *uncertainty.parameters()]
        yield Stage("denoiser", data, [Update(objective, params, c.optimizer())], c.steps)

    return System(
        recipe="edm2",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=training,
        sampler=get("edm_heun"),
        steps=32,
        grid="karras",
        classes=c.classes,
        guidance=c.guidance if c.classes else 1.0,
        ema_half_life=c.ema_half_life,
        extra={"uncertainty": uncertainty},
    )
