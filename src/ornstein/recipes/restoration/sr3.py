r"""SR3: super-resolution by a diffusion model that sees the small picture, enlarged, beside the noisy one.

Differences from the paper, all of them fields: a small network of another family, its learning rate, and conditions that go
missing in a tenth of the rows, so that the model also draws without one.
"""

from __future__ import annotations

from dataclasses import dataclass

from ornstein.recipes.registry import recipe
from ornstein.recipes.restoration.pictured import PicturedConfig, pictured
from ornstein.recipes.restoration.reduced import reduced
from ornstein.recipes.system import System


@dataclass(frozen=True, kw_only=True)
class SR3(PicturedConfig):
    """The chain's fields, and how much larger pictures become."""

    scale: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        reduced(self.shape, self.scale)


@recipe(
    "sr3",
    area="restoration",
    title="Image Super-Resolution via Iterative Refinement (Saharia et al. 2021)",
    paper="arxiv:2104.07636",
    claim="a conditional diffusion model draws sharp pictures that agree with the small one, where regression blurs",
    equations="y_t = sqrt(gamma) y_0 + sqrt(1 - gamma) eps; |eps - eps_theta([up(x), y_t], gamma)|^2, gamma continuous; "
    "y_s ~ q(y_s | y_t, y_0 = (y_t - sqrt(1 - gamma) eps_theta)/sqrt(gamma))",
    bibtex="@article{saharia2021sr3, title={Image Super-Resolution via Iterative Refinement}, author={Saharia, Chitwan and Ho, "
    "Jonathan and Chan, William and Salimans, Tim and Fleet, David J. and Norouzi, Mohammad}, journal={IEEE TPAMI}, year={2022}}",
)
def sr3(c: SR3 = SR3()) -> System:
    """The SR3 system: ``system.sample(n, low_res=picture)`` or ``ornstein.restore`` of a bicubic reduction."""
    return pictured(c, "sr3", reduced(c.shape, c.scale))
