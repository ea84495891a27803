r"""Analog bits: whole numbers as bits of +-1, diffused as real numbers and thresholded; the network sees its last estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.bits import AnalogBits as Bits
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import X0
from ornstein.networks.layers.conditioning import ClassCondition, ImageCondition
from ornstein.networks.mp_unet import MPUNet
from ornstein.networks.unet import UNet
from ornstein.objectives.self_conditioning import ESTIMATE, SelfConditioning
from ornstein.objectives.times import UniformTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Cosine
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class AnalogBits(NetworkConfig):
    """The bits, and how often the network is shown its estimate."""

    bits: int = 8
    """per channel; images are cut to 2^bits levels"""
    code: Literal["binary", "gray"] = "binary"
    scale: float = 1.0
    """of the bits: +-scale"""
    shown: float = 0.5
    """share of training rows with an estimate; 0 is training without self-conditioning"""
    difference: float = 0.0
    """asymmetric time intervals, in steps"""
    sampling_steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")
        Bits(self.bits, self.scale, self.code)

    def unet(self) -> MPUNet | UNet:
        """The network on bits, with the estimate beside them."""
        n = self.channels * self.bits
        labels = (ClassCondition("label", len(self.classes)),) if self.classes else ()
        conditions = (*labels, ImageCondition(ESTIMATE, n))
        if self.architecture == "mp_unet":
            return MPUNet(
                channels=n,
                widths=self.widths,
                blocks=self.blocks,
                attention=self.attention,
                conditions=conditions,
                patch=self.patch,
                dropout=self.dropout,
                bandwidth=1 / 250,
            )
        if self.architecture != "ddpm_cifar10":
            raise UsageError(f"analog-bits has the networks mp_unet and ddpm_cifar10, not '{self.architecture}'")
        return UNet(
            channels=n,
            widths=(256, 256, 256),
            blocks=3,
            attention=(1,),
            head=0,
            conditions=conditions,
            dropout=self.dropout,
        )


@recipe(
    "analog-bits",
    area="images",
    title="Analog Bits: Generating Discrete Data using Diffusion Models with Self-Conditioning (Chen et al. 2022)",
    paper="arxiv:2208.04202",
    claim="whole numbers can be drawn by an ordinary diffusion of their bits, and showing the network its last estimate "
    "makes the samples much better",
    equations="b_j = 2 ((v >> j) & 1) - 1; x_t = alpha_t b + sigma_t eps; loss |f(x_t, t, sg f(x_t, t, none)) - b|^2, half of "
    "the time f(x_t, t, none); v = sum_j 2^j [b_j > 0]",
    bibtex="@inproceedings{chen2023analog, title={Analog Bits: Generating Discrete Data using Diffusion Models with "
    "Self-Conditioning}, author={Chen, Ting and Zhang, Ruixiang and Hinton, Geoffrey}, booktitle={ICLR}, year={2023}}",
)
def analog_bits(c: AnalogBits = AnalogBits()) -> System:
    """The analog-bits system."""
    denoiser = Preconditioned(c.unet(), VP(Cosine(s=2e-4)), X0(), channels_last=True)
    codec = Bits(c.bits, c.scale, c.code)

    def objective(system: System) -> SelfConditioning:
        denoiser.autocast = c.autocast
        times = UniformTimes(1e-3, denoiser.process.t_max)
        return SelfConditioning(denoiser, codec, times, c.shown, c.cond_dropout)

    options = {"bound": c.scale, "difference": c.difference, "estimate": c.shown > 0}
    return System(
        recipe="analog-bits",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=(c.channels * c.bits, c.size, c.size),
        training=one_stage(c, objective),
        sampler=get("self_conditioned", options=options),
        steps=c.sampling_steps,
        grid="even",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
