"""The training loop. It does not know what diffusion is: stages of updates on a stream of batches."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.errors import CheckpointError, OrnsteinError, UsageError
from ornstein.core.loss import Objective
from ornstein.core.rng import Stream
from ornstein.training.checkpoint import checkpoints, latest_checkpoint, save_checkpoint
from ornstein.training.ema import EMA
from ornstein.training.metrics import LevelLoss, Metrics
from ornstein.training.optim import OptimizerSpec


class Data(Protocol):
    """A stream of batches that can say where it is and go on from there."""

    def __iter__(self) -> Iterator[Batch[Any]]: ...
    def state(self) -> dict[str, int]: ...
    def restore(self, state: dict[str, int]) -> None: ...


@dataclass
class Update:
    """One player's step on each batch: its loss reaches only its own parameters."""

    objective: Objective
    params: list[nn.Parameter]
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    every: int = 1


@dataclass
class Stage:
    """A data stream, the updates made on each batch, and a number of steps."""

    name: str
    data: Data
    updates: list[Update]
    steps: int


@dataclass(frozen=True)
class Progress:
    """What a callback is told after each step."""

    stage: str
    step: int
    steps: int
    loss: float
    seen: int
    """samples in all"""
    here: int
    """samples since this process began to train"""
    seconds: float
    """of this process's training so far"""
    fraction: float
    """of the budget, the nearer of steps and minutes"""

    @property
    def images_per_second(self) -> float:
        """Since this process began to train."""
        return self.here / max(self.seconds, 1e-9)


@dataclass
class Engine:
    """Where and how to train: device, budget, average, records. ``run`` None keeps everything in memory."""

    run: Path | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    seed: int = 0
    minutes: float | None = None
    ema_half_life: float = 500_000
    ema_ramp: float = 0.05
    log_every: int = 50
    save_every_seconds: float = 300
    keep: int = 2
    resume: bool = False
    on_step: Callable[[Progress], None] | None = None
    on_save: Callable[[int], None] | None = None
    """called with the EMA weights in place whenever a checkpoint was written: sample strips"""

    def __post_init__(self) -> None:
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"minutes must be positive, got {self.minutes}")


class _Stop:
    """SIGTERM and Ctrl-C ask for a stop after the step; what was reached is saved."""

    def __init__(self) -> None:
        self.asked: str | None = None

    def __call__(self, number: int, frame: object) -> None:
        self.asked = signal.Signals(number).name

    @contextmanager
    def installed(self) -> Iterator[_Stop]:
        try:
            old = {s: signal.signal(s, self) for s in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread: nobody sends us signals there
            old = {}
        try:
            yield self
        finally:
            for s, handler in old.items():
                signal.signal(s, handler)


@dataclass(frozen=True)
class Result:
    """How training ended."""

    step: int
    seen: int
    seconds: float
    loss: float
    reason: str
    """``steps``, ``minutes`` or the signal's name"""
    notes: tuple[str, ...]
    """checkpoints found torn on resume"""


def fit(model: nn.Module, stages: Iterable[Stage], engine: Engine) -> Result:
    """Train ``model`` (the modules that are saved) through the stages; leaves its averaged weights in place.

    A stage is asked for only when the one before has ended, so it may depend on its result.

    Raises:
        OrnsteinError: a loss is not finite (before the step is made; the last good checkpoint stays).
        CheckpointError: the run exists and ``resume`` is not set, or nothing in it can be resumed.
    """
    run = engine.run
    if run is not None and checkpoints(run) and not engine.resume:
        raise CheckpointError(
            f"{run} holds a run already: pass resume=True (--resume) to go on with it, or another out"
        )
    model.to(engine.device).train()
    ema = EMA(model, engine.ema_half_life, engine.ema_ramp)
    rng = Stream(engine.seed)
    found, torn = latest_checkpoint(run) if run is not None and engine.resume else (None, [])
    if torn and found is None:
        raise CheckpointError("no checkpoint of the run can be read: " + "; ".join(torn))
    fresh: dict[str, Any] = {"stage": 0, "stage_start": 0, "step": 0, "seen": 0, "seconds": 0.0, "data": None}
    state: dict[str, Any] = found.meta["progress"] if found else fresh
    if found is None:
        torch.manual_seed(engine.seed)  # dropout
    else:
        model.load_state_dict(found.parts["model"])
        ema.restore(found.parts["ema"])
        rng.restore(found.parts["random"]["stream"])
        torch.set_rng_state(found.parts["random"]["torch"].to(torch.uint8))
    metrics = Metrics(run, keep_until=state["step"] if found else None) if run is not None else None
    levels = LevelLoss()
    begin = saved = time.monotonic()
    before = float(state["seconds"])
    step, seen, loss_value, reason = int(state["step"]), int(state["seen"]), math.nan, "steps"
    recent: list[float] = []
    first = seen
    mark = (begin, seen)

    def elapsed() -> float:
        return before + time.monotonic() - begin

    def save(stage: int, stage_start: int, data: Data, optimizers: list[torch.optim.Optimizer]) -> None:
        nonlocal saved
        saved = time.monotonic()
        if run is None:
            return
        progress: dict[str, Any] = {"stage": stage, "stage_start": stage_start, "step": step, "seen": seen}
        progress |= {"seconds": elapsed(), "data": data.state()}
        opt, groups = _pack_optimizers(optimizers)
        parts = {
            "model": model.state_dict(),
            "ema": ema.state(),
            "optimizer": opt,
            "random": {"stream": rng.state(), "torch": torch.get_rng_state()},
        }
        meta = {**engine.meta, "progress": progress, "optimizer": groups, "torch": torch.__version__}
        save_checkpoint(run / "checkpoints" / f"step-{step:07d}", parts, meta)
        for old in checkpoints(run)[: -engine.keep]:
            _remove(old)
        if engine.on_save is not None:
            with ema.swapped(), _evaluating(model):
                engine.on_save(step)

    with _Stop().installed() as stop, closing(metrics) if metrics is not None else nullcontext():
        for index, stage in enumerate(stages):
            if index < state["stage"]:
                continue
            optimizers = [u.optimizer.build(u.params) for u in stage.updates]
            resumed = found is not None and index == state["stage"]
            stage_start = int(state["stage_start"]) if resumed else step
            if resumed and found is not None:
                _unpack_optimizers(optimizers, found.parts["optimizer"], found.meta["optimizer"])
                stage.data.restore(state["data"])
            if step - stage_start >= stage.steps:
                continue
            if engine.minutes is not None and elapsed() >= 60 * engine.minutes:
                reason = "minutes"  # all used up before: a resumed run makes no further step
                break
            for batch in stage.data:
                batch = batch.to(engine.device)
                local = step - stage_start + 1
                for update, optimizer in zip(stage.updates, optimizers, strict=True):
                    if local % update.every:
                        continue
                    optimizer.zero_grad(set_to_none=True)
                    loss = update.objective(batch, rng)
                    loss_value = loss.value.item()
                    if not math.isfinite(loss_value):
                        last = checkpoints(run)[-1].name if run is not None and checkpoints(run) else "none"
                        raise OrnsteinError(
                            f"the loss is {loss_value} at step {step + 1} of stage '{stage.name}'; training stopped before the "
                            f"update. Last good checkpoint: {last}. Lower the learning rate, or look for outliers in the data"
                        )
                    loss.value.backward(inputs=update.params)
                    norm = _clip(update.params, update.optimizer.clip)
                    for group in optimizer.param_groups:
                        group["lr"] = update.optimizer.lr_at(local)
                    optimizer.step()
                    if loss.levels is not None:
                        levels.add(*loss.levels)
                step, seen = step + 1, seen + len(batch)
                ema.update(len(batch), seen)
                recent.append(loss_value)
                now = time.monotonic()
                if metrics is not None and (step % engine.log_every == 0 or local == stage.steps):
                    rate = (seen - mark[1]) / max(now - mark[0], 1e-9)
                    record = {"loss": sum(recent) / len(recent), "grad_norm": norm, "images_per_second": rate}
                    metrics.write(step, {**record, "seconds": elapsed(), **levels.take()})
                    mark, recent = (now, seen), []
                fraction = local / stage.steps
                if engine.minutes is not None:
                    fraction = max(fraction, elapsed() / (60 * engine.minutes))
                if engine.on_step is not None:
                    engine.on_step(
                        Progress(
                            stage.name,
                            local,
                            stage.steps,
                            loss_value,
                            seen,
                            seen - first,
                            now - begin,
                            min(fraction, 1.0),
                        )
                    )
                if stop.asked is not None:
                    reason = stop.asked
                elif engine.minutes is not None and elapsed() >= 60 * engine.minutes:
                    reason = "minutes"
                done = local >= stage.steps or reason != "steps"
                if done or now - saved >= engine.save_every_seconds:
                    save(index, stage_start, stage.data, optimizers)
                if done:
                    break
            if reason != "steps":
                break
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in ema.shadow:
                p.copy_(ema.shadow[name])
    model.eval()
    return Result(step, seen, elapsed(), loss_value, reason, tuple(torn))


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    model.eval()
    try:
        yield
    finally:
        model.train()


def _clip(params: list[nn.Parameter], limit: float | None) -> float:
    norm = torch.nn.utils.clip_grad_norm_(params, limit if limit is not None else math.inf, foreach=True)
    return float(norm)


def _pack_optimizers(optimizers: list[torch.optim.Optimizer]) -> tuple[dict[str, Tensor], list[Any]]:
    """Optimiser states as named tensors, and what is not a tensor as JSON."""
    tensors: dict[str, Tensor] = {}
    groups: list[Any] = []
    for i, optimizer in enumerate(optimizers):
        state = optimizer.state_dict()
        for p, entries in state["state"].items():
            for name, value in entries.items():
                tensors[f"{i}.{p}.{name}"] = torch.as_tensor(value)
        groups.append(state["param_groups"])
    return tensors, groups


def _unpack_optimizers(optimizers: list[torch.optim.Optimizer], tensors: dict[str, Tensor], groups: list[Any]) -> None:
    if len(groups) != len(optimizers):
        raise CheckpointError(f"the checkpoint holds {len(groups)} optimisers, this stage has {len(optimizers)}")
    for i, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            which, p, name = key.split(".", 2)
            if int(which) == i:
                state.setdefault(int(p), {})[name] = value
        optimizer.load_state_dict({"state": state, "param_groups": groups[i]})


def _remove(path: Path) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)
