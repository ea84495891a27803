r"""Consistency models: a network that maps every point of a flow's path to its end, distilled from a teacher or trained alone.

``mode="distillation"`` first trains a denoiser as EDM does and then, from its weights, the consistency function against one
Heun step of its average; ``mode="training"`` needs no teacher. Both compare neighbours on Karras's grid, with a slow copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.consistency import ConsistencyScaling
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import EDMScaling
from ornstein.objectives.consistency import Consistency, GridNeighbours, constant, rising_rate, root_levels
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.followers import Averaged, Counter, Follower
from ornstein.objectives.times import LogNormalSigma
from ornstein.processes.gaussian import EDM
from ornstein.recipes.images.common import NetworkConfig
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class ConsistencyModels(NetworkConfig):
    """The boundary, the grid of levels, and the slow copy."""

    mode: Literal["training", "distillation"] = "training"
    sigma_min: float = 0.002
    """epsilon, the level of the boundary: f(x, epsilon) = x"""
    sigma_max: float = 80.0
    sigma_data: float = 0.5
    data_std: float = 0.5
    """standard deviation of the training images in [-1, 1]; they are rescaled so that it becomes sigma_data"""
    levels: int = 18
    """of the grid in distillation"""
    first_levels: int = 2
    last_levels: int = 150
    """of the grid in training, where it grows with the root of the steps made"""
    rate: float = 0.95
    """of the slow copy: constant in distillation, rate^(first_levels / N) in training"""
    first_steps: int = 4000
    """at most so many steps for the teacher; the consistency function takes what is left of ``steps``"""
    p_mean: float = -1.2
    p_std: float = 1.2
    steps: int = 8000
    lr: float = 1e-3
    sampling_steps: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels < 2:
            raise UsageError(
                f"levels, of the grid whose neighbours are compared, must be at least 2, got {self.levels}"
            )
        if not 0 <= self.rate < 1:
            raise UsageError(f"rate must lie in [0, 1), got {self.rate}")
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")
        root_levels(1, self.first_levels, self.last_levels)


@recipe(
    "consistency-models",
    area="images",
    title="Consistency Models (Song et al. 2023)",
    paper="arxiv:2303.01469",
    claim="a function that maps every point of a flow's path to its end, distilled or trained alone, samples in one or two "
    "evaluations",
    equations="f = c_skip x + c_out F, f(x, eps) = x; loss d(f(x_{n+1}, s_{n+1}), f^-(x_n, s_n)), x_n one Heun step of the "
    "teacher or x_0 + s_n z; x <- f(x + sqrt(s^2 - eps^2) z, s)",
    bibtex="@inproceedings{song2023consistency, title={Consistency Models}, author={Song, Yang and Dhariwal, Prafulla and "
    "Chen, Mark and Sutskever, Ilya}, booktitle={ICML}, year={2023}}",
    teachers={"edm": {"mode": "distillation", "first_steps": 0}},
)
def consistency_models(c: ConsistencyModels = ConsistencyModels()) -> System:
    """The consistency-models system."""
    process = EDM(c.sigma_min, c.sigma_max)
    network = c.network(bandwidth=1.0)
    denoiser = Preconditioned(network, process, ConsistencyScaling(c.sigma_data, c.sigma_min), channels_last=True)
    diffusion = Preconditioned(network, process, EDMScaling(c.sigma_data), channels_last=True)
    codec, counter, target = Scale(c.sigma_data / c.data_std), Counter(), Follower(denoiser)
    extra: dict[str, Counter | Follower[Preconditioned]] = {"counter": counter, "target": target}
    teacher = Follower(diffusion) if c.mode == "distillation" else None
    if teacher is not None:
        extra["teacher"] = teacher

    def stages(system: System, data: Data) -> Iterator[Stage]:
        denoiser.autocast = diffusion.autocast = c.autocast
        params, spent = list(network.parameters()), 0
        if teacher is not None:
            spent = min(c.first_steps, c.steps // 2)
            times = LogNormalSigma(process, c.p_mean, c.p_std)
            denoising = Denoising(diffusion, codec, times, cond_dropout=c.cond_dropout)
            objective = Averaged(denoising, teacher, diffusion, c.ema_half_life)
            yield Stage("teacher", data, [Update(objective, params, c.optimizer())], spent)
        levels = constant(c.levels) if teacher is not None else root_levels(c.steps, c.first_levels, c.last_levels)
        rate = constant(c.rate) if teacher is not None else rising_rate(c.rate, levels, c.first_levels)
        consistency = Consistency(
            denoiser,
            codec,
            GridNeighbours(process, levels),
            counter,
            target=target,
            rate=rate,
            teacher=teacher.copy if teacher is not None else None,
            cond_dropout=c.cond_dropout,
        )
        yield Stage("consistency", data, [Update(consistency, params, c.optimizer())], c.steps - spent)

    return System(
        recipe="consistency-models",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=stages,
        sampler=get("renoise"),
        steps=c.sampling_steps,
        grid="even_karras",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
        extra=dict(extra),
    )
