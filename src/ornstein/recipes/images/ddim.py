r"""DDIM: DDPM's model, sampled along a subsequence by the non-Markov family with the same marginals.

Nothing is trained anew: the network, the chain and the loss are DDPM's, and a checkpoint of either recipe has the other's
weights. ``grid`` is the paper's linear or quadratic subsequence. Times between two of the chain's steps are allowed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from ornstein.core.errors import UsageError
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class DDIM(DDPM):
    """DDPM's fields, and how the subsequence is walked."""

    eta: float = 0.0
    """noise of the reverse step: 0 is deterministic, 1 is ancestral sampling with beta~"""
    grid: Literal["uniform", "quadratic"] = "uniform"
    sampling_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise UsageError(f"eta must lie in [0, 1], got {self.eta}")


@recipe(
    "ddim",
    area="images",
    title="Denoising Diffusion Implicit Models (Song et al. 2020)",
    paper="arxiv:2010.02502",
    claim="the deterministic sampler needs 10 to 50 times fewer steps, and its noise is a code that can be decoded again",
    equations="x_s = alpha_s x_0 + sqrt(sigma_s^2 - v^2) eps + v z, v^2 = eta^2 sigma_s^2 (1 - SNR_t/SNR_s)",
    bibtex="@inproceedings{song2021ddim, title={Denoising Diffusion Implicit Models}, "
    "author={Song, Jiaming and Meng, Chenlin and Ermon, Stefano}, booktitle={ICLR}, year={2021}}",
)
def ddim(c: DDIM = DDIM()) -> System:
    """The DDIM system."""
    return dataclasses.replace(ddpm(c), recipe="ddim", sampler=get("ddim", options={"eta": c.eta}), grid=c.grid)
