r"""DPS: after each ancestral step one down the misfit of the estimate, whatever the operator, as long as it has a derivative.

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
class DPS(DDPM):
    """DDPM's fields, and the step down the misfit."""

    zeta: float = 0.3
    """of the gradient of the norm |y - A(E[x_0])|; the paper takes 0.3 for blurs and reductions, 0.5 for masks, 1 for phases"""
    restoration_steps: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.zeta > 0:
            raise UsageError(f"zeta must be positive, got {self.zeta}")
        if self.restoration_steps < 1:
            raise UsageError(f"restoration_steps must be at least 1, got {self.restoration_steps}")


@recipe(
    "dps",
    area="restoration",
    title="Diffusion Posterior Sampling for General Noisy Inverse Problems (Chung et al. 2022)",
    paper="arxiv:2209.14687",
    claim="the gradient of the misfit of the estimate restores under noisy operators, linear or not",
    equations="x_s ~ q(x_s | x_t, E[x_0]), then x_s - zeta grad_{x_t} |y - A(E[x_0 | x_t])|",
    bibtex="@inproceedings{chung2023dps, title={Diffusion Posterior Sampling for General Noisy Inverse Problems}, "
    "author={Chung, Hyungjin and Kim, Jeongsol and Mccann, Michael Thompson and Klasky, Marc Louis and Ye, Jong Chul}, "
    "booktitle={ICLR}, year={2023}}",
)
def dps(c: DPS = DPS()) -> System:
    """DDPM's system, restoring by DPS."""
    return dataclasses.replace(ddpm(c), recipe="dps", restoring=Restoring("dps", {"zeta": c.zeta}, c.restoration_steps))
