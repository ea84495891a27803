r"""RePaint: a hole is filled by an unconditional model, going back and forth so that both parts agree.

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
class RePaint(DDPM):
    """DDPM's fields, and the schedule of the jumps."""

    restoration_steps: int = 25
    """stretches between jumps"""
    jump: int = 10
    """steps of a stretch"""
    repeats: int = 10
    """how often each stretch is gone"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.jump < 1 or self.repeats < 1 or self.restoration_steps < 1:
            raise UsageError(
                f"repaint needs restoration_steps, jump and repeats of at least 1, got {self.restoration_steps}, {self.jump} and "
                f"{self.repeats}"
            )
        if self.jump * self.restoration_steps > self.chain:
            raise UsageError(
                f"{self.restoration_steps} stretches of {self.jump} steps do not fit a chain of {self.chain}; take fewer"
            )


@recipe(
    "repaint",
    area="restoration",
    title="RePaint: Inpainting using Denoising Diffusion Probabilistic Models (Lugmayr et al. 2022)",
    paper="arxiv:2201.09865",
    claim="going back and forth brings the hole into agreement with what surrounds it, at every mask, without training for it",
    equations="x_s <- m q-draw(y) + (1 - m) x_s after each reverse step; x_t ~ q(x_t | x_s) and again, repeats times",
    bibtex="@inproceedings{lugmayr2022repaint, title={RePaint: Inpainting using Denoising Diffusion Probabilistic Models}, "
    "author={Lugmayr, Andreas and Danelljan, Martin and Romero, Andres and Yu, Fisher and Timofte, Radu and Van Gool, Luc}, "
    "booktitle={CVPR}, year={2022}}",
)
def repaint(c: RePaint = RePaint()) -> System:
    """DDPM's system, filling holes by RePaint."""
    return dataclasses.replace(
        ddpm(c),
        recipe="repaint",
        restoring=Restoring("repaint", {"jump": c.jump, "repeats": c.repeats}, c.restoration_steps),
    )
