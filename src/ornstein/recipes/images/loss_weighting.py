r"""Weights of the denoising loss: min-SNR and P2, beside the plain ones, under any prediction.

A weight is written on the error of x_0 and carried to whatever the network predicts by the gain |d x_0 / d out|, so
``weighting`` means the same for eps, x_0 and v. Losses under different weights cannot be compared; their samples can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import X0, Eps, Parametrization, V
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import DiscreteTimes
from ornstein.objectives.weights import Weight, min_snr, p2, snr, uniform
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get

PREDICTIONS: dict[str, type[Parametrization]] = {"eps": Eps, "x_0": X0, "v": V}


@dataclass(frozen=True, kw_only=True)
class LossWeighting(NetworkConfig):
    """What the network predicts and how much each noise level counts."""

    chain: int = 1000
    schedule: Literal["linear", "cosine"] = "cosine"
    prediction: Literal["eps", "x_0", "v"] = "v"
    weighting: Literal["min_snr", "p2", "snr", "uniform"] = "min_snr"
    """``snr`` is the eps loss under any prediction, ``uniform`` is 1 on the error of the network's own output"""
    gamma: float = 5.0
    """where min-SNR clips"""
    p2_k: float = 1.0
    p2_power: float = 1.0
    """P2: (k + SNR)^-power on the eps loss; Choi et al. use 1 and 0.5"""
    sampling_steps: int = 50
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain < 2:
            raise UsageError(f"chain must be at least 2, got {self.chain}")
        if not 1 <= self.sampling_steps <= self.chain:
            raise UsageError(f"sampling_steps must lie in 1 .. {self.chain} (the chain), got {self.sampling_steps}")
        self.weight()  # refuses a weight that does not exist before anything is built

    def weight(self) -> Weight:
        """The weight that these fields describe."""
        if self.weighting == "min_snr":
            return min_snr(self.gamma)
        if self.weighting == "p2":
            return p2(self.p2_power, self.p2_k)
        return snr if self.weighting == "snr" else uniform


@recipe(
    "loss-weighting",
    area="images",
    title="Min-SNR (Hang et al. 2023) and P2 (Choi et al. 2022) weights",
    paper="arxiv:2303.09556",
    claim="clipping the weight of nearly clean images balances the noise levels, and training converges faster",
    equations="loss w_t |x_0 - x_0_theta|^2: min-SNR w = min(SNR_t, gamma), P2 w = SNR_t (k + SNR_t)^-p; "
    "|x_0 - x_0_theta|^2 = |eps - eps_theta|^2 / SNR = |v - v_theta|^2 / (SNR + 1)",
    bibtex="@inproceedings{hang2023minsnr, title={Efficient Diffusion Training via Min-SNR Weighting Strategy}, "
    "author={Hang, Tiankai and Gu, Shuyang and Li, Chen and Bao, Jianmin and Chen, Dong and Hu, Han and Geng, Xin and "
    "Guo, Baining}, booktitle={ICCV}, year={2023}}",
)
def loss_weighting(c: LossWeighting = LossWeighting()) -> System:
    """The system trained under a weight of one's choice."""
    table = Table.cosine(c.chain) if c.schedule == "cosine" else Table.linear(c.chain)
    process = VP(table, t_min=1 / c.chain)
    denoiser = Preconditioned(c.network(), process, PREDICTIONS[c.prediction](), channels_last=True)
    codec = Scale()

    def objective(system: System) -> Denoising:
        denoiser.autocast = c.autocast
        return Denoising(denoiser, codec, DiscreteTimes(c.chain), c.weight(), cond_dropout=c.cond_dropout)

    return System(
        recipe="loss-weighting",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ddim"),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        guidance=c.guidance,
        clip=1.0,
        ema_half_life=c.ema_half_life,
    )
