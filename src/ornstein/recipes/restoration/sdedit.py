r"""SDEdit: a rough picture, noised to a middle level and taken back, becomes a real one that keeps its composition.

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
class SDEdit(DDPM):
    """DDPM's fields, and from where pictures are edited."""

    strength: float = 0.5
    """t_0, where editing starts; the paper works between 0.3 and 0.6"""
    editing_steps: int = 250
    """from t_0 to the data"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength < 1:
            raise UsageError(
                f"strength must lie in (0, 1): from noise nothing of the guide is left; got {self.strength}"
            )
        if self.editing_steps < 1:
            raise UsageError(f"editing_steps must be at least 1, got {self.editing_steps}")


@recipe(
    "sdedit",
    area="restoration",
    title="SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations (Meng et al. 2021)",
    paper="arxiv:2108.01073",
    claim="the level to which a guide is noised trades realism for faithfulness, without training for the task",
    equations="x_t0 = alpha x_g + sigma z, then the reverse process from t_0; with a mask x <- m (alpha x_g + sigma z) + (1 - m) "
    "x",
    bibtex="@inproceedings{meng2022sdedit, title={SDEdit: Guided Image Synthesis and Editing with Stochastic Differential "
    "Equations}, author={Meng, Chenlin and He, Yutong and Song, Yang and Song, Jiaming and Wu, Jiajun and Zhu, Jun-Yan and "
    "Ermon, Stefano}, booktitle={ICLR}, year={2022}}",
)
def sdedit(c: SDEdit = SDEdit()) -> System:
    """DDPM's system; ``ornstein.recipes.edit.sdedit`` starts at this strength."""
    return dataclasses.replace(
        ddpm(c), recipe="sdedit", restoring=Restoring("ccdf", steps=c.editing_steps, strength=c.strength)
    )
