r"""Progressive distillation: a student learns to do in one DDIM step what its teacher does in two, and becomes the teacher.

Stage 1 trains the model on v; each further stage halves the number of steps, from ``teacher_steps`` to ``final_steps``. The
student goes on from where its teacher stood, the learning rate starts anew and falls to 0 in every stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.core.loss import Objective
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import V
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.followers import Averaged, Follower
from ornstein.objectives.progressive import ProgressiveDistillation
from ornstein.objectives.times import UniformTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Cosine
from ornstein.recipes.images.common import NetworkConfig
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.optim import OptimizerSpec
from ornstein.training.stage import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class ProgressiveDistillationConfig(NetworkConfig):
    """How many steps the first teacher takes, how many the last student, and how long each round is."""

    teacher_steps: int = 64
    """of the first teacher; the paper's is 1024 to 8192"""
    final_steps: int = 4
    weight: Literal["truncated", "snr_plus_one"] = "truncated"
    distilling: float = 0.5
    """share of the training steps that all rounds together take"""
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.final_steps < 1:
            raise UsageError(f"final_steps must be at least 1, got {self.final_steps}")
        steps = self.teacher_steps
        while steps > self.final_steps:
            if steps % 2:
                raise UsageError(
                    f"teacher_steps {self.teacher_steps} cannot be halved down to final_steps {self.final_steps}: {steps} is "
                    f"odd; take final_steps times a power of two"
                )
            steps //= 2
        if steps != self.final_steps or self.teacher_steps == self.final_steps:
            raise UsageError(
                f"teacher_steps must be final_steps times a power of two, got {self.teacher_steps} and {self.final_steps}"
            )
        if not 0 < self.distilling < 1:
            raise UsageError(f"distilling must lie in (0, 1), got {self.distilling}")

    def rounds(self) -> list[int]:
        """Steps of the student in each round: 32, 16, 8, 4."""
        counts, steps = [], self.teacher_steps
        while steps > self.final_steps:
            steps //= 2
            counts.append(steps)
        return counts

    def lengths(self) -> list[int]:
        """Training steps of the first model and of each round."""
        rounds = len(self.rounds())
        each = int(self.steps * self.distilling) // rounds
        return [self.steps - each * rounds] + [each] * rounds


@recipe(
    "progressive-distillation",
    area="images",
    title="Progressive Distillation for Fast Sampling of Diffusion Models (Salimans & Ho 2022)",
    paper="arxiv:2202.00512",
    claim="halving the number of steps again and again, with a student for each, keeps the quality down to a few steps",
    equations="alpha = cos(pi t/2), v = alpha eps - sigma x_0; x~ = (z_s - r z_t)/(alpha_s - r alpha_t), r = sigma_s/sigma_t, "
    "z_s after two DDIM steps of the teacher; loss max(SNR, 1) |x~ - x_0_theta|^2",
    bibtex="@inproceedings{salimans2022progressive, title={Progressive Distillation for Fast Sampling of Diffusion Models}, "
    "author={Salimans, Tim and Ho, Jonathan}, booktitle={ICLR}, year={2022}}",
)
def progressive_distillation(c: ProgressiveDistillationConfig = ProgressiveDistillationConfig()) -> System:
    """The progressively distilled system."""
    process = VP(Cosine(s=0.0, t_max=1.0), t_min=1 / c.teacher_steps)
    denoiser = Preconditioned(c.network(), process, V(), channels_last=True)
    codec = Scale()
    rounds, lengths = c.rounds(), c.lengths()
    teachers = [Follower(denoiser) for _ in rounds]

    def training(system: System, data: Data) -> Iterator[Stage]:
        denoiser.autocast = c.autocast
        params = list(denoiser.parameters())
        objective: Objective = Denoising(denoiser, codec, UniformTimes(), cond_dropout=c.cond_dropout)
        yield Stage(
            "teacher",
            data,
            [Update(Averaged(objective, teachers[0], denoiser, c.ema_half_life), params, c.optimizer())],
            lengths[0],
        )
        for i, (steps, length) in enumerate(zip(rounds, lengths[1:], strict=True)):
            objective = ProgressiveDistillation(
                denoiser, teachers[i].copy, codec, steps, c.weight, cond_dropout=c.cond_dropout
            )
            if i + 1 < len(teachers):
                objective = Averaged(objective, teachers[i + 1], denoiser, c.ema_half_life)
            fresh = OptimizerSpec(
                lr=c.lr / 4,
                betas=(0.9, 0.99),
                warmup=0,
                decay="cosine",
                decay_steps=max(length, 1),
                clip=c.clip or None,
            )
            yield Stage(f"student-{steps}", data, [Update(objective, params, fresh)], length)

    return System(
        recipe="progressive-distillation",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=training,
        sampler=get("ddim"),
        steps=c.final_steps,
        grid="even",
        classes=c.classes,
        guidance=c.guidance,
        clip=1.0,
        ema_half_life=c.ema_half_life,
        extra={f"teacher_{steps * 2}": teacher for steps, teacher in zip(rounds, teachers, strict=True)},
    )
