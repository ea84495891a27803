r"""Variational diffusion models: trained on the exact continuous-time bound, with a learned schedule.

The bound depends on the schedule by its two ends only. They are trained with the network; the curve between them is a second
player that makes the estimate of the bound as quiet as it can. Fourier features of the image let the network see the last bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Clocked, Eps
from ornstein.networks.fourier_input import FourierInput
from ornstein.objectives.continuous_bound import BoundVariance, ContinuousBound
from ornstein.processes.gaussian import VP
from ornstein.processes.learned import Learned
from ornstein.recipes.images.common import NetworkConfig
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data
from ornstein.training.optim import OptimizerSpec
from ornstein.training.stage import Stage, Update


@dataclass(frozen=True, kw_only=True)
class VDM(NetworkConfig):
    """The ends of the schedule, what is learned of it, and the features."""

    gamma_0: float = -13.3
    """-log SNR at t = 0"""
    gamma_1: float = 5.0
    fixed_ends: bool = False
    schedule_width: int = 64
    """sigmoids in the curve; the paper has 1024"""
    schedule_lr: float = 1e-3
    exponents: tuple[int, ...] = (6, 7)
    """of the Fourier features; none leaves them out"""
    sampling_steps: int = 250
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gamma_0 < self.gamma_1:
            raise UsageError(f"gamma_0 must be below gamma_1, got {self.gamma_0} and {self.gamma_1}")
        if any(n < 0 for n in self.exponents):
            raise UsageError(f"exponents must be at least 0, got {self.exponents}")
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")


@recipe(
    "vdm",
    area="images",
    title="Variational Diffusion Models (Kingma et al. 2021)",
    paper="arxiv:2107.00630",
    claim="the continuous-time bound depends on the schedule by its ends only; what lies between can quieten its estimate",
    equations="-log p(x) <= KL(q(z_1|x) || p(z_1)) - E log p(x|z_0) + E_t[gamma'(t)/2 |eps - eps_theta|^2], gamma = -log SNR; "
    "interior of gamma minimises E[L_t^2]",
    bibtex="@inproceedings{kingma2021vdm, title={Variational Diffusion Models}, "
    "author={Kingma, Diederik P. and Salimans, Tim and Poole, Ben and Ho, Jonathan}, booktitle={NeurIPS}, year={2021}}",
)
def vdm(c: VDM = VDM()) -> System:
    """The variational diffusion model."""
    schedule = Learned(c.gamma_0, c.gamma_1, c.schedule_width, c.fixed_ends)
    process = VP(schedule)
    network: nn.Module = c.network(inputs=1 + 2 * len(c.exponents))
    if c.exponents:
        network = FourierInput(network, c.exponents)
    # The clock keeps the range that it began with: a level looks the same to the network while the ends move.
    denoiser = Preconditioned(network, process, Clocked(Eps(), -c.gamma_1, -c.gamma_0), channels_last=True)
    codec = Scale()

    def training(system: System, data: Data) -> Iterator[Stage]:
        denoiser.autocast = c.autocast
        bound = ContinuousBound(denoiser, codec, cond_dropout=c.cond_dropout)
        players = [
            Update(bound, [*network.parameters(), *schedule.ends()], c.optimizer()),
            Update(BoundVariance(bound), schedule.interior(), OptimizerSpec(lr=c.schedule_lr, warmup=c.warmup)),
        ]
        yield Stage("denoiser", data, players, c.steps)

    return System(
        recipe="vdm",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=training,
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        guidance=c.guidance,
        clip=1.0,
        ema_half_life=c.ema_half_life,
    )
