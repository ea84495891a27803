r"""First-hitting diffusion on bits: every bit of every pixel walks until it is -1 or 1, and so after a time of its own.

Draws are binary exactly, without rounding. Levels are written in ``bits`` bits by Gray's code, as categories would be.
"""

from __future__ import annotations

from dataclasses import dataclass

from ornstein.codecs.bits import AnalogBits
from ornstein.core.errors import UsageError
from ornstein.denoisers.signs import EndsNetwork
from ornstein.objectives.first_hitting import BridgeMatching
from ornstein.objectives.times import UniformTimes
from ornstein.processes.first_hitting import FirstHittingBits
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class FirstHittingDiffusion(NetworkConfig):
    """How pictures are written, and the walk."""

    bits: int = 2
    """of each value: 2^bits levels"""
    begin: float = 0.0
    """where every bit starts, inside (-1, 1)"""
    weight: float = 20.0
    """at most, in the loss, near the ends"""
    sampling_steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.bits <= 8:
            raise UsageError(f"bits must lie in 1 .. 8, got {self.bits}")
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")
        FirstHittingBits(self.begin)


@recipe(
    "first-hitting-diffusion",
    area="images",
    title="First hitting diffusion models (Ye, Wu & Liu 2022)",
    paper="arxiv:2209.01170",
    claim="a diffusion that stops where it first hits a set gives data exactly on that set, after a random time, and is "
    "learned by matching the drift of bridges to the data",
    equations="dz = f dtau + dw until z is on the target; bridge to y: u_y = grad log h_y, bits: y/(1 + y z), sphere: Poisson's "
    "kernel; loss |f_theta(z) - u_y(z)|^2 along bridges",
    bibtex="@inproceedings{ye2022first, title={First Hitting Diffusion Models for Generating Manifold, Graph and Categorical "
    "Data}, author={Ye, Mao and Wu, Lemeng and Liu, Qiang}, booktitle={NeurIPS}, year={2022}}",
)
def first_hitting_diffusion(c: FirstHittingDiffusion = FirstHittingDiffusion()) -> System:
    """The first-hitting system on bits."""
    codec = AnalogBits(c.bits, 1.0, "gray")
    denoiser = EndsNetwork(c.network(inputs=2 * c.bits, outputs=c.bits), FirstHittingBits(c.begin))

    def objective(system: System) -> BridgeMatching:
        denoiser.autocast = c.autocast
        return BridgeMatching(denoiser, codec, UniformTimes(), c.weight, c.cond_dropout)

    return System(
        recipe="first-hitting-diffusion",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=(c.bits * c.channels, c.size, c.size),
        training=one_stage(c, objective),
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
