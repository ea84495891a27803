r"""Rectified flow: train a flow, pair noise with where it leads, train again on those pairs: straight paths, few steps.

t = 0 is data here and t = 1 noise; the paper runs time the other way. ``rounds`` counts the reflows, each of which
takes its pairs from the averaged weights of the stage before; ``distil`` adds a stage that trains the single step
from t = 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.core.loss import Objective
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Velocity
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.followers import Averaged, Follower
from ornstein.objectives.interpolating import Interpolating, given_pairs
from ornstein.objectives.times import Fixed, UniformTimes
from ornstein.processes.gaussian import FlowMatching
from ornstein.recipes.images.common import NetworkConfig
from ornstein.recipes.pairs import Pairs
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class RectifiedFlow(NetworkConfig):
    """How often the flow is straightened, and on how many pairs."""

    rounds: int = 1
    """reflows after the first flow; 0 is flow matching"""
    distil: bool = False
    """a last stage that trains the step from t = 1 alone, for sampling in one step"""
    first_steps: int = 4000
    """at most so many training steps for each stage but the last, which takes what is left of ``steps``"""
    pairs: int = 20_000
    pair_steps: int = 25
    """steps of Heun's method by which a pair is made"""
    steps: int = 8000
    sampling_steps: int = 4
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds < 0:
            raise UsageError(f"rounds must be at least 0, got {self.rounds}")
        if self.distil and self.rounds < 1:
            raise UsageError("distil needs a straight flow to start from: at least one round of reflow")
        for name in ("first_steps", "pair_steps", "sampling_steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.pairs < self.batch:
            raise UsageError(f"pairs must be at least one batch ({self.batch}), got {self.pairs}")

    def lengths(self) -> list[int]:
        """Training steps of each stage: the first flow, the reflows, the distillation."""
        stages = 1 + self.rounds + self.distil
        early = min(self.first_steps, self.steps // stages)
        return [early] * (stages - 1) + [self.steps - early * (stages - 1)]


@recipe(
    "rectified-flow",
    area="images",
    title="Flow Straight and Fast: Rectified Flow (Liu et al. 2022)",
    paper="arxiv:2209.03003",
    claim="training again on a flow's own pairs straightens its paths, so that one Euler step comes close to many, and "
    "never raises the cost of transport",
    equations="x_t = (1 - t) x_0 + t x_1; loss |v_theta(x_t, t) - (x_1 - x_0)|^2; reflow: x_0 = ODE(x_1) of the last flow; "
    "straightness int E |x_1 - x_0 - dx_t/dt|^2 dt",
    bibtex="@inproceedings{liu2023rectified, title={Flow Straight and Fast: Learning to Generate and Transfer Data with "
    "Rectified Flow}, author={Liu, Xingchao and Gong, Chengyue and Liu, Qiang}, booktitle={ICLR}, year={2023}}",
)
def rectified_flow(c: RectifiedFlow = RectifiedFlow()) -> System:
    """The rectified-flow system."""
    process = FlowMatching()
    denoiser = Preconditioned(c.network(), process, Velocity(), channels_last=True)
    codec = Scale()
    lengths = c.lengths()
    teachers = [Follower(denoiser) for _ in lengths[1:]]

    def stages(system: System, data: Data) -> Iterator[Stage]:
        denoiser.autocast = c.autocast
        params = list(denoiser.parameters())
        for i, steps in enumerate(lengths):
            source = data
            objective: Objective = Denoising(denoiser, codec, UniformTimes(), cond_dropout=c.cond_dropout)
            name = "flow"
            if i:
                grid = torch.linspace(1, 0, c.pair_steps + 1, dtype=torch.float64)
                source = Pairs(
                    teachers[i - 1],
                    c.shape,
                    c.pairs,
                    c.batch,
                    grid=grid,
                    classes=len(c.classes),
                    first=i * 10_000_000,
                )
                last = c.distil and i == len(lengths) - 1
                name = "distil" if last else f"reflow-{i}"
                objective = Interpolating(denoiser, given_pairs, Fixed(1.0) if last else UniformTimes())
            if i < len(teachers):
                objective = Averaged(objective, teachers[i], denoiser, c.ema_half_life)
            yield Stage(name, source, [Update(objective, params, c.optimizer())], steps)

    return System(
        recipe="rectified-flow",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=stages,
        sampler=get("euler"),
        steps=c.sampling_steps,
        grid="even",
        classes=c.classes,
        guidance=c.guidance,
        ema_half_life=c.ema_half_life,
        extra={f"teacher_{i + 1}": teacher for i, teacher in enumerate(teachers)},
    )
