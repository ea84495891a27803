"""The training loop. It does not know what diffusion is: stages of updates on a stream of batches."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, nullcontext
from typing import Any

from torch import nn

from ornstein.core.batch import Batch
from ornstein.core.errors import OrnsteinError
from ornstein.training.engine import Engine as Engine
from ornstein.training.engine import Result as Result
from ornstein.training.failure import clear_failure, note_failure
from ornstein.training.player import Diverged, Outcome, Player
from ornstein.training.progress import Progress as Progress
from ornstein.training.regions import prepared
from ornstein.training.session import Session, budget, last_good
from ornstein.training.signals import Stop
from ornstein.training.stage import Data as Data
from ornstein.training.stage import Stage as Stage
from ornstein.training.stage import Update as Update

IDLE = Outcome(loss=math.nan, norm=math.nan, lr=0.0, levels=None, logs={}, small=None)
"""Before the first player has moved."""


def fit(model: nn.Module, stages: Iterable[Stage], engine: Engine) -> Result:
    """Train ``model`` (the modules that are saved) through the stages; leaves its averaged weights in place.

    A stage is asked for only when the one before has ended, so it may depend on its result.

    Raises:
        OrnsteinError: a loss or a gradient is not finite (before the step is made; the last good checkpoint stays).
        CheckpointError: the run exists and ``resume`` is not set, nothing in it can be resumed, or the last checkpoint
            cannot be written.
    """
    model.to(engine.device).train()
    session = Session(model, engine)  # which divides the model among the processes where that is wanted
    writer = session.ranks.main
    clear_failure(engine.run if writer else None)
    loss, reason = math.nan, "steps"
    stop = Stop()
    # Without a folder there is nothing to save, and no reason to go on with a model that is half trained.
    listening = stop.installed() if engine.run is not None else nullcontext()
    with listening, closing(session), prepared(model, engine):
        for callback in engine.callbacks if writer else ():
            callback.on_start(session.step, session.seen)
        for index, stage in enumerate(stages):
            if index < session.stage:
                continue
            players = [Player(update, engine, session.ranks, session.sharding) for update in stage.updates]
            session.enter(index, players, stage.data)
            if session.step - session.stage_start >= stage.steps:
                continue
            # All used up before: a resumed run makes no further step. A new one makes one, or there would be nothing to load.
            if session.step and (spent := budget(engine, session)[1]):
                reason = spent
                break
            loss, reason = _train(stage, players, session, engine, stop)
            if reason != "steps":
                break
    session.ema.put()
    model.eval()
    return Result(session.step, session.seen, session.elapsed(), loss, reason, tuple(session.notes))


def _train(stage: Stage, players: Sequence[Player], session: Session, engine: Engine, stop: Stop) -> tuple[float, str]:
    """One stage, to its end or to that of the budget; the last loss and what ended it."""
    done = IDLE
    for batch in stage.data:
        number = session.step - session.stage_start + 1
        batch = batch.to(engine.device)
        try:
            done = _step(batch, players, session, engine, number) or done
        except Diverged as e:
            note_failure(engine.run if session.ranks.main else None, session.step + 1, str(e))
            raise OrnsteinError(
                f"{e} at step {session.step + 1} of stage '{stage.name}'; training stopped before the "
                f"update. Last good checkpoint: {last_good(engine.run)}. Lower the learning rate, or look for outliers "
                "in the data (ornstein doctor)"
            ) from e
        now = time.monotonic()
        spent, over = budget(engine, session)
        progress = Progress(
            stage=stage.name,
            step=number,
            steps=stage.steps,
            loss=done.loss,
            seen=session.seen,
            here=session.seen - session.first,
            seconds=now - session.begin,
            fraction=min(max(number / stage.steps, spent), 1.0),
            grad_norm=done.norm,
            lr=done.lr,
        )
        if session.step % engine.log_every == 0 or number == stage.steps:
            session.record()
        told = _told(engine, progress) if session.ranks.main else None
        reason = _reason(session, stop, told, over, number >= stage.steps)
        due = now - session.saved >= engine.save_every_seconds
        if session.tracker is not None and session.tracker.due(session.step, reason is not None):
            session.snapshot()
        if reason or session.ranks.highest([due], engine.device)[0]:
            session.save(players, stage.data, ending=reason is not None)
        if reason:
            return done.loss, reason
    raise OrnsteinError(f"the data of stage '{stage.name}' ended before its {stage.steps} steps; a stream has no end")


def _step(
    batch: Batch[Any], players: Sequence[Player], session: Session, engine: Engine, number: int
) -> Outcome | None:
    """The updates that are due on one batch, then the averages; what the last player did, None if it was no one's turn."""
    measured = engine.noise_scale_every > 0 and (session.step + 1) % engine.noise_scale_every == 0
    parts = engine.accumulate if engine.accumulate > 1 or not measured else 2
    pieces = batch.split(parts) if parts > 1 else [batch]
    done: Outcome | None = None
    meters = session.meters
    for i, player in enumerate(players):
        if number % player.update.every:
            continue
        done = player.step(pieces, session.rng, number)
        mark = f"/player_{i}" if len(players) > 1 else ""
        for name, value in (("loss", done.loss), ("grad_norm", done.norm), ("lr", done.lr)):
            meters.add(name + mark, value)
        meters.high("grad_norm_max" + mark, done.norm)
        for name, value in done.logs.items():
            meters.add(name, value)
        if done.levels is not None:
            meters.levels(*done.levels)
        if done.small is not None and i == 0 and math.isfinite(done.norm):
            session.noise.add(*done.small, done.norm**2, len(batch) * session.ranks.world)
    if done is not None and len(players) > 1:
        meters.add("loss", done.loss)
    session.step, session.seen = session.step + 1, session.seen + len(batch) * session.ranks.world
    session.ema.update(len(batch) * session.ranks.world, session.seen)
    if session.tracker is not None:
        session.tracker.update(len(batch) * session.ranks.world, session.seen)
    return done


def _told(engine: Engine, progress: Progress) -> str | None:
    """Tell those who watch; the first reason to stop that one of them gives."""
    if engine.on_step is not None:
        engine.on_step(progress)
    reasons = [callback.on_step(progress) for callback in engine.callbacks]
    return next((r for r in reasons if r), None)


def _reason(session: Session, stop: Stop, told: str | None, over: str | None, steps: bool) -> str | None:
    """Why this step is the last, if it is. What ends one process ends all: a signal before the steps before a budget."""
    wants = session.ranks.highest([stop.number, steps, over is not None, told is not None], session.engine.device)
    if wants[0]:
        return signal.Signals(wants[0]).name
    if wants[1]:
        return "steps"
    if wants[2]:
        return over or "minutes"  # another's clock is ahead of this one's
    return (told or "a callback") if wants[3] else None
