r"""Langevin and Hamiltonian corrections: Markov chains at each noise level of a trained score model.

After each ancestral step some moves that leave p_t unchanged. For a network that gives a score and no density the moves are
taken without rejection; energies and compositions of them (:class:`ornstein.samplers.HMC`) accept and reject exactly. The
network and the loss are DDPM's.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ornstein.core.errors import UsageError
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.correctors import HMC
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class HMCCorrection(DDPM):
    """DDPM's fields, and the moves."""

    step: float = 0.3
    """of the leapfrog, in units of sigma_t"""
    leaps: int = 3
    moves: int = 1
    sampling_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.step > 0 or self.leaps < 1 or self.moves < 1:
            raise UsageError(
                f"Hamiltonian moves need step > 0, leaps >= 1 and moves >= 1, got {self.step}, {self.leaps}, {self.moves}"
            )


@recipe(
    "hmc-correction",
    area="images",
    title="Reduce, Reuse, Recycle: Compositional Generation with Energy-Based Diffusion Models and MCMC (Du et al. 2023)",
    paper="arxiv:2302.11552",
    claim="a sum of scores is no score of the diffused product; Markov chains at each level, accepted by the density, mend it",
    equations="p ~ N(0, I), leapfrog of step e sigma_t; accept with min(1, exp(log p(y) - |p'|^2/2 - log p(x) + |p|^2/2))",
    bibtex="@inproceedings{du2023reduce, title={Reduce, Reuse, Recycle: Compositional Generation with Energy-Based Diffusion "
    "Models and MCMC}, author={Du, Yilun and Durkan, Conor and Strudel, Robin and Tenenbaum, Joshua B. and Dieleman, Sander "
    "and Fergus, Rob and Sohl-Dickstein, Jascha and Doucet, Arnaud and Grathwohl, Will}, booktitle={ICML}, year={2023}}",
)
def hmc_correction(c: HMCCorrection = HMCCorrection()) -> System:
    """The system of DDPM under ancestral steps with Hamiltonian moves."""
    moves = HMC(c.step, c.leaps, c.moves, accept=False)
    sampler = get("predictor_corrector", options={"predictor": Ancestral, "corrector": moves})
    return dataclasses.replace(ddpm(c), recipe="hmc-correction", sampler=sampler)
