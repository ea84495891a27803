r"""D3PM: diffusion of images as whole numbers, by a Markov chain whose matrices say what noise is.

``corruption``: "gaussian" (to near levels), "uniform" (to any), "absorbing" (to a mask), "nearest" (to neighbours in
an embedding, here of the levels themselves). The uniform chain keeps a value with probability cos^2, as its sibling
multinomial diffusion does; the paper's code has cos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ornstein.codecs.levels import Levels
from ornstein.core.errors import UsageError
from ornstein.denoisers.categorical import CategoricalDenoiser
from ornstein.networks.layers.conditioning import ClassCondition
from ornstein.networks.mp_unet import MPUNet
from ornstein.networks.unet import UNet
from ornstein.objectives.categorical import CategoricalBound
from ornstein.processes.categorical import CategoricalProcess
from ornstein.processes.matrix import MatrixProcess
from ornstein.processes.schedules import Cosine
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class D3PM(NetworkConfig):
    """The levels, the chain, and the head."""

    values: int = 32
    """grey levels per channel; 256 loses nothing and needs tables of half a gigabyte at chain = 1000"""
    corruption: Literal["gaussian", "uniform", "absorbing", "nearest"] = "gaussian"
    chain: int = 250
    """T"""
    neighbours: int = 2
    """of "nearest" """
    head: Literal["logits", "logistic"] = "logistic"
    cross_entropy: float = 0.001
    """weight of the regression of x_0 beside the bound"""
    precision: Literal["bf16", "fp32"] = "fp32"
    sampling_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain < 2:
            raise UsageError(f"chain must be at least 2, got {self.chain}")
        if not 1 <= self.sampling_steps <= self.chain:
            raise UsageError(f"sampling_steps must lie in 1 .. {self.chain} (the chain), got {self.sampling_steps}")
        Levels(self.values)

    def process(self) -> CategoricalProcess | MatrixProcess:
        """The chain."""
        if self.corruption == "gaussian":
            return MatrixProcess.discretised_gaussian(self.values, self.chain)
        if self.corruption == "nearest":
            return MatrixProcess.nearest(torch.arange(self.values)[:, None], self.chain, self.neighbours)
        if self.corruption == "uniform":
            return CategoricalProcess.uniform(self.values, Cosine())
        return CategoricalProcess.absorbing(self.values + 1)

    def unet(self) -> nn.Module:
        """The network, with the head's outputs for each channel."""
        outputs = self.channels * (2 if self.head == "logistic" else self.values)
        conditions = (ClassCondition("label", len(self.classes)),) if self.classes else ()
        if self.architecture == "mp_unet":
            return MPUNet(
                channels=self.channels,
                out_channels=outputs,
                widths=self.widths,
                blocks=self.blocks,
                attention=self.attention,
                conditions=conditions,
                patch=self.patch,
                dropout=self.dropout,
                bandwidth=1 / 250,
            )
        if self.architecture != "ddpm_cifar10":
            raise UsageError(f"d3pm has the networks mp_unet and ddpm_cifar10, not '{self.architecture}'")
        return UNet(
            channels=self.channels,
            out_channels=outputs,
            widths=(128, 256, 256, 256),
            blocks=2,
            attention=(1,),
            head=0,
            resample="conv",
            modulation="shift",
            conditions=conditions,
            dropout=self.dropout,
        )


@recipe(
    "d3pm",
    area="images",
    title="Structured Denoising Diffusion Models in Discrete State-Spaces (Austin et al. 2021)",
    paper="arxiv:2107.03006",
    claim="on ordered levels, a chain that jumps to near ones has a better bound than one that jumps to any; a regression of "
    "x_0 beside the bound helps",
    equations="q(x_n | x_{n-1}) = Cat(Q_n[x_{n-1}]); p(x_{n-1} | x_n) ~ sum_l q(x_{n-1}, x_n | l) p~(l | x_n); "
    "loss KL(q(x_{n-1} | x_n, x_0) || p(x_{n-1} | x_n)) - 0.001 log p~(x_0 | x_n)",
    bibtex="@inproceedings{austin2021d3pm, title={Structured Denoising Diffusion Models in Discrete State-Spaces}, "
    "author={Austin, Jacob and Johnson, Daniel D. and Ho, Jonathan and Tarlow, Daniel and van den Berg, Rianne}, "
    "booktitle={NeurIPS}, year={2021}}",
)
def d3pm(c: D3PM = D3PM()) -> System:
    """The D3PM system."""
    denoiser = CategoricalDenoiser(c.unet(), c.process(), c.values, c.head)
    codec = Levels(c.values)

    def objective(system: System) -> CategoricalBound:
        denoiser.autocast = c.autocast
        return CategoricalBound(denoiser, codec, c.chain, c.cross_entropy, c.cond_dropout)

    return System(
        recipe="d3pm",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        grid="even",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
