r"""DPM-Solver: DDPM's model, sampled by exponential integrators in log-SNR.

Nothing is trained anew: the network, the chain and the loss are DDPM's, and a checkpoint of either recipe has the other's
weights. The default is DPM-Solver++ 2M on equal steps of log-SNR; ``solver`` names the others.
Times between two of the chain's steps are allowed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class DPMSolver(DDPM):
    """DDPM's fields, and which of the family samples."""

    solver: Literal["dpm_solver_2", "dpm_solver_3", "dpmpp_2s", "dpmpp_2m", "dpmpp_3m", "dpm_adaptive"] = "dpmpp_2m"
    grid: Literal["uniform", "log_snr", "karras"] = "log_snr"
    sampling_steps: int = 15


@recipe(
    "dpm-solver",
    area="images",
    title="DPM-Solver and DPM-Solver++ (Lu et al. 2022)",
    paper="arxiv:2206.00927",
    claim="exponential integrators in log-SNR of orders 2 and 3 converge at those orders: 10 to 20 evaluations are enough",
    equations="x_s = sigma_s/sigma_t x_t - alpha_s (e^{-h} - 1) D, D = (1 + 1/(2r)) x_0 - 1/(2r) x_0^prev, h the step of lambda",
    bibtex="@inproceedings{lu2022dpm, title={DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in Around "
    "10 Steps}, author={Lu, Cheng and Zhou, Yuhao and Bao, Fan and Chen, Jianfei and Li, Chongxuan and Zhu, Jun}, "
    "booktitle={NeurIPS}, year={2022}}",
)
def dpm_solver(c: DPMSolver = DPMSolver()) -> System:
    """The DPM-Solver system."""
    return dataclasses.replace(ddpm(c), recipe="dpm-solver", sampler=get(c.solver), grid=c.grid)
