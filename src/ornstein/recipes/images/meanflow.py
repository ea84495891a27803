r"""MeanFlow: learn the mean velocity between two times from an identity that it alone satisfies; sample in one step.

Nothing is distilled: the target contains the network's own derivative along the flow. Here t = 1 is noise, as in the
paper. Guidance is trained into the map (``omega``, ``kappa``); a guided sample still takes one evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.two_time import SPAN, TwoTime
from ornstein.objectives.mean_flow import MeanFlow as MeanFlowObjective
from ornstein.objectives.times import LogitNormal, Times, UniformTimes
from ornstein.processes.gaussian import FlowMatching
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class MeanFlow(NetworkConfig):
    """The law of the two times, the weight, and guidance."""

    times: Literal["logit_normal", "uniform"] = "logit_normal"
    logit_mean: float = -0.4
    logit_std: float = 1.0
    equal: float = 0.75
    """the part of the batch on which both times are the same: flow matching"""
    power: float = 1.0
    """p of the weight 1/(error + c)^p"""
    weight_floor: float = 0.01
    """its c"""
    omega: float = 1.0
    kappa: float = 0.0
    precision: Literal["bf16", "fp32"] = "fp32"
    """derivatives of the network are taken, for which bf16 is coarse"""
    sampling_steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")
        if (self.omega != 1 or self.kappa != 0) and not self.cond_dropout > 0:
            raise UsageError("guidance (omega, kappa) needs cond_dropout > 0: the network must know unconditional rows")
        self.law()

    def law(self) -> Times:
        """The law of both times."""
        return UniformTimes() if self.times == "uniform" else LogitNormal(self.logit_mean, self.logit_std)


@recipe(
    "meanflow",
    area="images",
    title="Mean Flows for One-step Generative Modeling (Geng et al. 2025)",
    paper="arxiv:2505.13447",
    claim="the mean velocity between two times, learned from scratch by its own identity, gives samples in one evaluation "
    "that flow matching needs many for",
    equations="u(x_t, t, s) = (t - s)^-1 int_s^t v; u = v - (t - s) (v d_x u + d_t u); loss |u - sg(right side)|^2 / "
    "sg(|.|^2 + c)^p; x_s = x_t - (t - s) u",
    bibtex="@article{geng2025meanflow, title={Mean Flows for One-step Generative Modeling}, author={Geng, Zhengyang and "
    "Deng, Mingyang and Bai, Xingjian and Kolter, J. Zico and He, Kaiming}, journal={arXiv:2505.13447}, year={2025}}",
)
def meanflow(c: MeanFlow = MeanFlow()) -> System:
    """The MeanFlow system."""
    denoiser = TwoTime(c.network(further=(SPAN,)), FlowMatching(), channels_last=True)
    codec = Scale()

    def objective(system: System) -> MeanFlowObjective:
        denoiser.autocast = c.autocast
        return MeanFlowObjective(
            denoiser, codec, c.law(), c.equal, c.power, c.weight_floor, c.omega, c.kappa, c.cond_dropout
        )

    return System(
        recipe="meanflow",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("flow_map"),
        steps=c.sampling_steps,
        grid="even",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
