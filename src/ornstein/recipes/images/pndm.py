r"""PNDM: DDPM's model, sampled by multistep estimates of the noise.

Nothing is trained anew: the network, the chain and the loss are DDPM's, and a checkpoint of either recipe has the other's
weights. The grid is the paper's linear or quadratic subsequence.
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
class PNDM(DDPM):
    """DDPM's fields, and how the multistep method starts."""

    start: Literal["runge_kutta", "heun"] = "runge_kutta"
    """three steps of four evaluations (F-PNDM), or one of two"""
    grid: Literal["uniform", "quadratic"] = "uniform"
    sampling_steps: int = 50


@recipe(
    "pndm",
    area="images",
    title="Pseudo Numerical Methods for Diffusion Models on Manifolds (Liu et al. 2022)",
    paper="arxiv:2202.09778",
    claim="multistep estimates of the noise, moved by DDIM's transfer, need several times fewer evaluations than DDIM",
    equations="x_s = phi(x_t, e, t, s), phi DDIM's step; e = (55 e_t - 59 e_1 + 37 e_2 - 9 e_3)/24 after three Runge-Kutta steps",
    bibtex="@inproceedings{liu2022pndm, title={Pseudo Numerical Methods for Diffusion Models on Manifolds}, "
    "author={Liu, Luping and Ren, Yi and Lin, Zhijie and Zhao, Zhou}, booktitle={ICLR}, year={2022}}",
)
def pndm(c: PNDM = PNDM()) -> System:
    """The PNDM system."""
    return dataclasses.replace(ddpm(c), recipe="pndm", sampler=get("pndm", options={"start": c.start}), grid=c.grid)
