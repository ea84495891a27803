r"""Gotta go fast: a score model on the VP process, sampled by an SDE solver that chooses its own steps.

The solver was designed for score models and nothing in it is trained; the network and the loss are DDPM's. The grid has one
step: within it the solver goes at its own pace.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ornstein.core.errors import UsageError
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class GottaGoFast(DDPM):
    """DDPM's fields, and the tolerances."""

    relative: float = 0.02
    """error allowed for each step, beside the state's size; the paper uses 0.01 to 0.1"""
    absolute: float = 0.0078
    """error allowed at least: one 8-bit level of images in [-1, 1]"""
    sampling_steps: int = 1
    """of the grid, within which the solver's own steps lie"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.relative < 1 or not self.absolute > 0:
            raise UsageError(f"tolerances need 0 < relative < 1 and absolute > 0, got {self.relative}, {self.absolute}")


@recipe(
    "gotta-go-fast",
    area="images",
    title="Gotta Go Fast When Generating Data with Score-Based Models (Jolicoeur-Martineau et al. 2021)",
    paper="arxiv:2105.14080",
    claim="steps chosen by the error of each sample need fewer network calls than equal ones for the same quality",
    equations="x' = x - h F(x, t) + g_t dW, x'' = x + (k_1 + k_2)/2; accepted where rms((x' - x'')/delta) <= 1",
    bibtex="@article{jolicoeur2021gotta, title={Gotta Go Fast When Generating Data with Score-Based Models}, "
    "author={Jolicoeur-Martineau, Alexia and Li, Ke and Pich{\\'e}-Taillefer, R{\\'e}mi and Kachman, Tal and "
    "Mitliagkas, Ioannis}, journal={arXiv:2105.14080}, year={2021}}",
)
def gotta_go_fast(c: GottaGoFast = GottaGoFast()) -> System:
    """The system of DDPM under the adaptive solver."""
    options = {"relative": c.relative, "absolute": c.absolute}
    return dataclasses.replace(ddpm(c), recipe="gotta-go-fast", sampler=get("adaptive_sde", options=options))
