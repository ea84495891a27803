r"""UniPC: DDPM's model, sampled by a predictor and a corrector that share their evaluations.

Nothing is trained anew: the network, the chain and the loss are DDPM's, and a checkpoint of either recipe has the other's
weights. The default is order 3 with B_1, the paper's choice without guidance.
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
class UniPC(DDPM):
    """DDPM's fields, the predictor's order and its B(h)."""

    order: Literal[1, 2, 3] = 3
    """of the predictor: 3 without guidance, 2 with much of it"""
    variant: Literal["bh1", "bh2"] = "bh1"
    grid: Literal["uniform", "log_snr", "karras"] = "log_snr"
    sampling_steps: int = 10


@recipe(
    "unipc",
    area="images",
    title="UniPC: A Unified Predictor-Corrector Framework (Zhao et al. 2023)",
    paper="arxiv:2302.04867",
    claim="a corrector that reads the evaluation of the next step raises the order by one at no further cost",
    equations="x_s = sigma_s/sigma_t x_t + alpha_s ((1 - e^{-h}) x_0 + sum_k w_k (x_0^k - x_0)), corrected with x_0 at s",
    bibtex="@inproceedings{zhao2023unipc, title={UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion "
    "Models}, author={Zhao, Wenliang and Bai, Lujia and Rao, Yongming and Zhou, Jie and Lu, Jiwen}, booktitle={NeurIPS}, "
    "year={2023}}",
)
def unipc(c: UniPC = UniPC()) -> System:
    """The UniPC system."""
    choice = get("unipc", options={"variant": c.variant, "p": c.order})
    return dataclasses.replace(ddpm(c), recipe="unipc", sampler=choice, grid=c.grid)
