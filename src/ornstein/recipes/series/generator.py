r"""Labelled series drawn from noise: DiffWave's residual blocks over structured state spaces, told the class.

DiffWave draws waveforms unconditionally or by class; here short series of several columns. Its dilated convolutions, which a
short series does not fill, are replaced by state spaces as in SSSD (Lopez Alcaraz & Strodthoff 2022, 2208.09399).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.networks.series.structured import StructuredStateSpace
from ornstein.objectives.series.imputation import Imputation
from ornstein.recipes.registry import recipe
from ornstein.recipes.series.common import NoiseConfig, denoised
from ornstein.recipes.series.system import SeriesSystem


def nothing(observed: Tensor, rng: Random) -> Tensor:
    """Nothing is given: every cell is sought."""
    return torch.zeros_like(observed)


@dataclass(frozen=True, kw_only=True)
class Generator(NoiseConfig):
    """The network's sizes; ``window`` is the length of what is drawn."""

    width: int = 64
    layers: int = 4
    state: int = 16
    label_dropout: float = 0.1
    """how often the class is not told in training, for guidance and for draws of any class"""
    sampling_steps: int = 18
    sigma_data: float = 1.0
    sigma_max: float = 20.0
    p_mean: float = -0.4
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.label_dropout < 1:
            raise UsageError(f"label_dropout must lie in [0, 1), got {self.label_dropout}")


@recipe(
    "series-diffwave",
    area="series",
    title="DiffWave: A Versatile Diffusion Model for Audio Synthesis (Kong et al. 2021), on labelled series",
    paper="arxiv:2009.09761",
    claim="draws of each class have the class's own law: a classifier trained on them serves on data",
    equations="loss |out(x_t, t | label) - target|^2 over whole series; x_0 by a probability flow from N(0, sigma_max^2)",
    bibtex="@inproceedings{kong2021diffwave, title={DiffWave: A Versatile Diffusion Model for Audio Synthesis}, author={Kong, "
    "Zhifeng and Ping, Wei and Huang, Jiaji and Zhao, Kexin and Catanzaro, Bryan}, booktitle={ICLR}, year={2021}}",
)
def series_diffwave(c: Generator = Generator()) -> SeriesSystem:
    """The generator."""
    network = StructuredStateSpace(len(c.columns), **c.told, width=c.width, layers=c.layers, state=c.state, mixer="s4")
    system = denoised(
        "series-diffwave", c, network, lambda d, codec: Imputation(d, codec, c.times(d), nothing, c.label_dropout)
    )
    system.guidance = c.guidance
    system.fills_no_gaps = "it draws series from nothing"
    return system
