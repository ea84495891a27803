r"""SSSD: gaps of a series are denoised by structured state spaces, noise being put on the missing values only.

Differences from the paper, all of them fields: noise levels and few steps in place of a chain of 200 (``noise="chain"``), a
smaller network, diagonal state spaces, calendar features. ``--preset paper`` sets what the paper has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.networks.series.structured import Mixer, StructuredStateSpace
from ornstein.objectives.series.imputation import Imputation
from ornstein.recipes.registry import recipe
from ornstein.recipes.series.common import FillConfig, denoised
from ornstein.recipes.series.system import SeriesSystem


@dataclass(frozen=True, kw_only=True)
class SSSD(FillConfig):
    """The network's sizes, and the chain of the paper where it is asked for."""

    chain: int = 200
    beta_T: float = 0.02
    betas: Literal["quadratic", "linear"] = "linear"
    width: int = 64
    layers: int = 4
    state: int = 16
    mixer: Mixer = "s4"
    """"convolution" replaces the state spaces: what they are compared with"""


@recipe(
    "sssd",
    area="series",
    title="Diffusion-based Time Series Imputation and Forecasting with Structured State Space Models "
    "(Lopez Alcaraz & Strodthoff 2022)",
    paper="arxiv:2208.09399",
    claim="state spaces see the whole window, so that long gaps are filled better than by convolutions",
    equations="x_t = m x_0 + (1 - m)(alpha_t x_0 + sigma_t eps), loss on m = 0; h' = A h + B u, y = Re(C h) + D u as the "
    "convolution k_l = 2 Re sum_n C_n Bbar_n Abar_n^l",
    bibtex="@article{lopezalcaraz2022sssd, title={Diffusion-based Time Series Imputation and Forecasting with Structured State "
    "Space Models}, author={Lopez Alcaraz, Juan Miguel and Strodthoff, Nils}, journal={Transactions on Machine Learning "
    "Research}, year={2022}}",
)
def sssd(c: SSSD = SSSD()) -> SeriesSystem:
    """The SSSD system."""
    network = StructuredStateSpace(
        len(c.columns), **c.told, width=c.width, layers=c.layers, state=c.state, mixer=c.mixer, units=c.anchored
    )
    return denoised(
        "sssd", c, network, lambda d, codec: Imputation(d, codec, c.times(d), c.hiding(), anchor=c.anchor())
    )
