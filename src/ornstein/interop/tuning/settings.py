"""What the four ways of training on a checkpoint share: budget, rate, seed, and the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ornstein.core.errors import CapabilityError, CheckpointError, UsageError
from ornstein.core.loss import Objective
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.objectives.times import DiscreteTimes, Times, UniformTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.training.checkpoint import checkpoints
from ornstein.training.fit import Data, Engine, Progress, Result, Stage, Update, fit
from ornstein.training.optim import OptimizerSpec


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How long, how fast, from which seed."""

    steps: int = 500
    batch: int = 4
    lr: float = 1e-4
    seed: int = 0
    minutes: float | None = None
    device: str = "cpu"
    on_step: Callable[[Progress], None] | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")


def trained(
    model: nn.Module,
    objective: Objective,
    data: Data,
    out: Path,
    settings: Settings,
    method: str,
    about: Mapping[str, Any],
) -> Result:
    """Train a model's parameters into a run, or go on with it; what is saved there is this model and nothing else.

    Raises:
        CheckpointError: the run is of another method or base.
    """
    resume = bool(checkpoints(out))
    meta = {"recipe": f"diffusers-{method}", "config": dict(about), "seed": settings.seed}
    if resume:
        check_same(out, meta)
    params = [p for p in model.parameters() if p.requires_grad]

    def stages() -> Iterator[Stage]:
        spec = OptimizerSpec(lr=settings.lr, weight_decay=0.01, clip=1.0)
        yield Stage(method, data, [Update(objective, params, spec)], settings.steps)

    engine = Engine(
        run=out,
        meta=meta,
        device=settings.device,
        seed=settings.seed,
        minutes=settings.minutes,
        # Runs are short: the average follows the weights closely.
        ema_half_life=float(settings.batch),
        resume=resume,
        on_step=settings.on_step,
    )
    return fit(model, stages(), engine)


def check_same(out: Path, meta: Mapping[str, Any]) -> None:
    """Refuse to go on with another run."""
    from ornstein.training.checkpoint import latest_checkpoint

    found, torn = latest_checkpoint(out, parts=())
    if found is None:
        raise CheckpointError(f"no checkpoint of {out} can be read: {'; '.join(torn)}")
    old = {"recipe": found.meta.get("recipe"), **dict(found.meta.get("config") or {})}
    new = {"recipe": meta["recipe"], **meta["config"]}
    for key in new:
        if old.get(key) != new[key]:
            raise CheckpointError(
                f"{out} was started with {key}={old.get(key)!r} and cannot go on with {new[key]!r}; choose another out"
            )


def times_of(system: Pipeline) -> Times:
    """The times at which a pipeline's network was trained: the entries of a table of betas, or all of them."""
    process = system.process
    if isinstance(process, VP) and isinstance(process.schedule, Table):
        return DiscreteTimes(process.schedule.steps)
    return UniformTimes(1e-3, min(float(process.t_max), 1.0))


def denoiser_of(system: Pipeline) -> Preconditioned:
    """The denoiser whose network is trained.

    Raises:
        CapabilityError: the pipeline reads no prompts, or its network reads more than prompts.
    """
    if not isinstance(system, Pipeline) or system.prompts is None or not isinstance(system.denoiser, Preconditioned):
        raise CapabilityError("this is trained on text-to-image pipelines of diffusers")
    if system.given.beside:
        raise CapabilityError(
            f"this network reads a picture beside its state ('{system.given.beside}'): not trained here"
        )
    return system.denoiser
