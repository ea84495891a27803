r"""DEIS: DDPM's model, sampled by an exponential integrator with polynomials of eps in t.

Nothing is trained anew: the network, the chain and the loss are DDPM's, and a checkpoint of either recipe has the other's
weights. The default is the paper's tAB3 on its quadratic grid.
Times between two of the chain's steps are allowed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class DEIS(DDPM):
    """DDPM's fields, the coordinate of the polynomial and how many values it passes through."""

    polynomial: Literal["tab", "rhoab", "log_rho"] = "tab"
    points: int = 4
    """the paper's r + 1: tAB3 by default"""
    grid: Literal["uniform", "quadratic", "log_snr"] = "quadratic"
    sampling_steps: int = 10


@recipe(
    "deis",
    area="images",
    title="Fast Sampling of Diffusion Models with Exponential Integrator (Zhang & Chen 2022)",
    paper="arxiv:2204.13902",
    claim="the linear part solved exactly and eps extrapolated by a polynomial: images of quality in 10 evaluations",
    equations="x_s = alpha_s/alpha_t x_t + alpha_s sum_j eps_j int_t^s L_j(tau) d(sigma/alpha)",
    bibtex="@inproceedings{zhang2023deis, title={Fast Sampling of Diffusion Models with Exponential Integrator}, "
    "author={Zhang, Qinsheng and Chen, Yongxin}, booktitle={ICLR}, year={2023}}",
)
def deis(c: DEIS = DEIS()) -> System:
    """The DEIS system."""
    choice = get("deis", options={"variant": c.polynomial, "points": c.points})
    return dataclasses.replace(ddpm(c), recipe="deis", sampler=choice, grid=c.grid)
