r"""Pseudoinverse guidance: the score of the measurement under a Gaussian guess of what the noisy picture was.

Nothing is trained anew: the network, the chain and the loss are DDPM's, and a checkpoint of either recipe has the other's
weights.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ornstein.core.errors import UsageError
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.restoration.table import Restoring


@dataclass(frozen=True, kw_only=True)
class PiGDM(DDPM):
    """DDPM's fields, and the guess's."""

    eta: float = 1.0
    """noise of DDIM's steps"""
    data_var: float = 0.5
    """variance of a pixel under the prior, on the data's scale [-1, 1]"""
    restoration_steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise UsageError(f"eta must lie in [0, 1], got {self.eta}")
        if not self.data_var > 0 or self.restoration_steps < 1:
            raise UsageError(
                f"pigdm needs data_var > 0 and restoration_steps of at least 1, got {self.data_var} and {self.restoration_steps}"
            )


@recipe(
    "pigdm",
    area="restoration",
    title="Pseudoinverse-Guided Diffusion Models for Inverse Problems (Song et al. 2023)",
    paper="openreview:9_gsMA8MRKQ",
    claim="a Gaussian guess of p(x_0 | x_t) gives the measurement's score with its covariance: exact where the data are Gaussian",
    equations="grad log p(y | x_t) = J' A' (r_t^2 A A' + s^2 I)^-1 (y - A E[x_0]), r_t^2 = 1/(1/data_var + alpha^2/sigma^2)",
    bibtex="@inproceedings{song2023pigdm, title={Pseudoinverse-Guided Diffusion Models for Inverse Problems}, "
    "author={Song, Jiaming and Vahdat, Arash and Mardani, Morteza and Kautz, Jan}, booktitle={ICLR}, year={2023}}",
)
def pigdm(c: PiGDM = PiGDM()) -> System:
    """DDPM's system, restoring by pseudoinverse guidance."""
    return dataclasses.replace(
        ddpm(c),
        recipe="pigdm",
        restoring=Restoring("pigdm", {"eta": c.eta, "data_var": c.data_var}, c.restoration_steps),
    )
