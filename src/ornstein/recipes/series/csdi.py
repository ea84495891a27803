r"""CSDI: gaps of a series are denoised, given all that was observed, by a network that attends over time and over columns.

Differences from the paper, all of them fields: noise levels with EDM's preconditioning and a few deterministic steps in place
of the chain of 50 (``noise="chain"`` is the paper's), a smaller network, gaps of several kinds in training, and calendar
features. ``--preset paper`` sets them to what the paper has.
"""

from __future__ import annotations

from dataclasses import dataclass

from ornstein.networks.series.grid import GridTransformer
from ornstein.objectives.series.imputation import Imputation
from ornstein.recipes.registry import recipe
from ornstein.recipes.series.common import FillConfig, denoised
from ornstein.recipes.series.system import SeriesSystem


@dataclass(frozen=True, kw_only=True)
class CSDI(FillConfig):
    """The network's sizes."""

    width: int = 32
    heads: int = 2
    layers: int = 2
    """blocks that are run at every step of every draw"""
    context: int = 2
    """blocks before them that look at what is known, once for all draws; the paper has none"""
    hidden: int = 64
    placed: bool = True
    """time and column enter before the first attention too; in the paper only behind each"""


@recipe(
    "csdi",
    area="series",
    title="CSDI: Conditional Score-based Diffusion Models for Probabilistic Time Series Imputation (Tashiro et al. 2021)",
    paper="arxiv:2107.03502",
    claim="trained by hiding observed values, a conditional denoiser fills gaps better than one that is conditioned afterwards",
    equations="x_t = alpha_t x_0 + sigma_t eps on the hidden cells ta; loss |(out(x_t, t | x^co, m_co) - target) m_ta|^2 "
    "/ |m_ta|; attention over time in each column, then over columns at each time",
    bibtex="@inproceedings{tashiro2021csdi, title={CSDI: Conditional Score-based Diffusion Models for Probabilistic Time Series "
    "Imputation}, author={Tashiro, Yusuke and Song, Jiaming and Song, Yang and Ermon, Stefano}, booktitle={NeurIPS}, "
    "year={2021}}",
)
def csdi(c: CSDI = CSDI()) -> SeriesSystem:
    """The CSDI system."""
    network = GridTransformer(
        len(c.columns), **c.told, width=c.width, heads=c.heads, layers=c.layers, hidden=c.hidden, placed=c.placed,
        context=c.context,
    )  # fmt: skip
    return denoised(
        "csdi", c, network, lambda d, codec: Imputation(d, codec, c.times(d), c.hiding(), anchor=c.anchor())
    )
