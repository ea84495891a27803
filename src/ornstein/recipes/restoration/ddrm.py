r"""DDRM: restoration in the singular basis of a linear operator, each direction noised together with its measurement.

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
class DDRM(DDPM):
    """DDPM's fields, and the two mixtures of fresh noise."""

    eta: float = 0.85
    """of the directions that are not measured, or less precisely than the level"""
    eta_b: float = 1.0
    """how much of the measurement goes into directions that it knows better than the level"""
    restoration_steps: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.eta <= 1 and 0 <= self.eta_b <= 1):
            raise UsageError(f"eta and eta_b must lie in [0, 1], got {self.eta} and {self.eta_b}")
        if self.restoration_steps < 1:
            raise UsageError(f"restoration_steps must be at least 1, got {self.restoration_steps}")


@recipe(
    "ddrm",
    area="restoration",
    title="Denoising Diffusion Restoration Models (Kawar et al. 2022)",
    paper="arxiv:2201.11793",
    claim="one unconditional model restores under any linear degradation with noise in 20 evaluations",
    equations="in V'x/alpha, by the singular value s: unmeasured directions as DDIM, noisy ones around E[x_0] with the residual "
    "of U'y/s, precise ones around U'y/s with the noise that is left",
    bibtex="@inproceedings{kawar2022ddrm, title={Denoising Diffusion Restoration Models}, "
    "author={Kawar, Bahjat and Elad, Michael and Ermon, Stefano and Song, Jiaming}, booktitle={NeurIPS}, year={2022}}",
)
def ddrm(c: DDRM = DDRM()) -> System:
    """DDPM's system, restoring by DDRM."""
    return dataclasses.replace(
        ddpm(c), recipe="ddrm", restoring=Restoring("ddrm", {"eta": c.eta, "eta_b": c.eta_b}, c.restoration_steps)
    )
