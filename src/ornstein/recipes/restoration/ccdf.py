r"""Come closer, diffuse faster: restoration starts from a noised first guess, and its steps contract the guess's error.

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
class CCDF(DDPM):
    """DDPM's fields, and where the chain starts."""

    strength: float = 0.2
    """t_0, to which the first guess is noised"""
    restoration_steps: int = 20
    """from t_0 to the data"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength <= 1:
            raise UsageError(f"strength must lie in (0, 1], got {self.strength}")
        if self.restoration_steps < 1:
            raise UsageError(f"restoration_steps must be at least 1, got {self.restoration_steps}")


@recipe(
    "ccdf",
    area="restoration",
    title="Come-Closer-Diffuse-Faster: Accelerating Conditional Diffusion Models for Inverse Problems (Chung et al. 2022)",
    paper="arxiv:2112.05146",
    claim="from a noised first guess a few contracting steps end nearer the truth than all steps from noise",
    equations="x_t0 = alpha x_init + sigma z; x_s = (I - P) x_s' + P q-draw(A^+ y), P = A^+ A non-expansive",
    bibtex="@inproceedings{chung2022come, title={Come-Closer-Diffuse-Faster: Accelerating Conditional Diffusion Models for "
    "Inverse Problems through Stochastic Contraction}, author={Chung, Hyungjin and Sim, Byeongsu and Ye, Jong Chul}, "
    "booktitle={CVPR}, year={2022}}",
)
def ccdf(c: CCDF = CCDF()) -> System:
    """DDPM's system, restoring from a first guess."""
    return dataclasses.replace(
        ddpm(c), recipe="ccdf", restoring=Restoring("ccdf", steps=c.restoration_steps, strength=c.strength)
    )
