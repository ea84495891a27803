"""A run between its checkpoints: counters, averages, random streams, records, and how they are saved and taken up."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError
from ornstein.core.rng import Stream
from ornstein.training.checkpoint import (
    Checkpoint,
    CheckpointWarning,
    checkpoints,
    latest_checkpoint,
    remove,
    save_checkpoint,
    sweep,
)
from ornstein.training.distributed import Ranks
from ornstein.training.ema import EMA, Average
from ornstein.training.engine import Engine
from ornstein.training.meters import Meters
from ornstein.training.metrics import Metrics
from ornstein.training.noise_scale import NoiseScale
from ornstein.training.packing import pack, unpack
from ornstein.training.player import Player
from ornstein.training.sharding import Sharding
from ornstein.training.snapshots import FOLDER as SNAPSHOTS
from ornstein.training.snapshots import Tracker
from ornstein.training.stage import Data
from ornstein.training.together import latest_together, restore, save_together


@final
class Session:
    """One process's part of a run; new, or taken up where the latest whole checkpoint left it."""

    def __init__(self, model: nn.Module, engine: Engine):
        self.model, self.engine, self.run, self.ranks = model, engine, engine.run, Ranks.here()
        self.found, self.notes = self._find()
        self.ranks.agree(model)
        self.sharding = Sharding(model, self.ranks, engine.device) if self.divides else None
        self.ema = EMA(model, engine.ema_half_life, engine.ema_ramp)
        self.tracker = Tracker(model, engine.snapshots, self.run, engine.meta) if engine.snapshots else None
        self.rng = Stream(engine.seed, self.ranks.rank, self.ranks.world)
        self.meters, self.noise = Meters(), NoiseScale()
        self.stage = self.stage_start = self.step = self.seen = 0
        self.trained: set[str] = set()
        self._before = 0.0
        self._data: dict[str, int] | None = None
        if self.found is None:
            torch.manual_seed(engine.seed + self.ranks.rank)  # dropout
        else:
            self._take_up(self.found)
        self.first = self.seen
        resumed = self.step if self.found else None
        writes = self.run is not None and self.ranks.main
        self.metrics = Metrics(self.run, resumed, engine.tensorboard) if writes and self.run is not None else None
        self.begin = self.saved = self._marked = time.monotonic()
        self._seen_at_mark = self.seen

    @property
    def divides(self) -> bool:
        """Whether the model is divided among several processes."""
        return self.engine.sharded and self.ranks.world > 1

    def _find(self) -> tuple[Checkpoint | None, list[str]]:
        run = self.run
        if run is None:
            return None, []
        if self.ranks.main:
            for folder in ("checkpoints", SNAPSHOTS):
                sweep(run / folder)
        self.ranks.wait()
        if checkpoints(run) and not self.engine.resume:
            raise CheckpointError(
                f"{run} holds a run already: pass resume=True (--resume) to go on with it, or another out"
            )
        found: Checkpoint | None = None
        torn: list[str] = []
        if self.engine.resume:
            found, torn = latest_together(run, self.ranks) if self.divides else latest_checkpoint(run)
        if torn and found is None:
            raise CheckpointError("no checkpoint of the run can be read: " + "; ".join(torn))
        return found, [f"passed over a damaged checkpoint: {line}" for line in torn]

    def _take_up(self, found: Checkpoint) -> None:
        progress: dict[str, Any] = found.meta["progress"]
        self.stage, self.stage_start = int(progress["stage"]), int(progress["stage_start"])
        self.step, self.seen = int(progress["step"]), int(progress["seen"])
        self._before, self._data = float(progress["seconds"]), progress["data"]
        self.trained = set(progress.get("trained", dict(self.model.named_children())))  # older ones do not say
        if self.divides:
            restore(found, "model", self.model.state_dict())
        else:
            self.model.load_state_dict(found.parts["model"])
        self._restore_average(found, "ema", self.ema)
        random = found.parts["random"]
        self.rng.restore(random["stream"])
        own = _torch_part(self.ranks.rank)
        if own in random:
            torch.set_rng_state(random[own].to(torch.uint8))
        else:  # there were fewer processes
            torch.manual_seed(self.engine.seed + self.ranks.rank + self.step)
        if "cuda" in random and torch.device(self.engine.device).type == "cuda":
            torch.cuda.set_rng_state(random["cuda"].to(torch.uint8), self.engine.device)
        if "meters" in progress:
            self.meters.restore(progress["meters"])
            self.noise.restore(progress["noise"])
        if self.tracker is not None:
            for name, average in self.tracker.averages.items():
                if name not in {*found.parts, *(key.split("/", 1)[0] for key in found.divided)}:
                    raise CheckpointError(
                        f"{found.path} has no average '{name}': the run was started without these snapshots; "
                        "resume it with the widths it had, or start a new run"
                    )
                self._restore_average(found, name, average)
            if self.ranks.main:
                self.tracker.forget_after(self.step)
        now, then = self._numerics(), found.meta.get("numerics", {})
        odd = [f"{k} is {now[k]}, was {then[k]}" for k in now if k in then and now[k] != then[k]]
        if odd:
            self.notes.append(f"the resumed run will not be equal to the last bit: {'; '.join(odd)}")

    def _restore_average(self, found: Checkpoint, part: str, average: Average) -> None:
        if self.divides:
            restore(found, part, average.state())
        else:
            average.restore(found.parts[part])

    def elapsed(self) -> float:
        """Seconds of training, all sessions of the run together."""
        return self._before + time.monotonic() - self.begin

    def enter(self, index: int, players: Sequence[Player], data: Data) -> None:
        """Begin a stage, or go on inside it."""
        if self.found is not None and index == self.stage:
            unpack(players, self.found)
            if self._data is not None:
                data.restore(self._data)
        else:
            self.stage, self.stage_start = index, self.step
        self.found = None  # its tensors are not needed any more
        given = {id(p) for player in players for p in player.update.params}
        self.trained |= {name.split(".")[0] for name, p in self.model.named_parameters() if id(p) in given}

    def save(self, players: Sequence[Player], data: Data, ending: bool) -> None:
        """Write a checkpoint. While training goes on, one that cannot be written is a warning; at the end an error."""
        self.saved = time.monotonic()
        if self.run is None:
            return
        states = self.ranks.gather(torch.get_rng_state())
        try:
            if self.divides or self.ranks.main:
                self._write(players, data, states, ending)
        finally:
            if not self.divides:  # else they have told each other how it went
                self.ranks.wait()

    def _write(self, players: Sequence[Player], data: Data, states: Sequence[Tensor], ending: bool) -> None:
        assert self.run is not None
        path = self.run / "checkpoints" / f"step-{self.step:07d}"
        try:
            self._save(path, self._parts(players, states), self._meta(players, data))
        except CheckpointError as e:
            last = checkpoints(self.run)
            line = f"{e}; the newest is {last[-1].name if last else 'none'}"
            if ending:
                raise CheckpointError(f"{line}. Free space and resume from there") from e
            self._warn(line)
            return
        for old in checkpoints(self.run)[: -self.engine.keep] if self.ranks.main else ():
            remove(old)
        callbacks = self.engine.callbacks if self.ranks.main else ()
        if self.engine.on_save is not None or callbacks:
            with self.ema.swapped(), _evaluating(self.model):
                if self.engine.on_save is not None:
                    self.engine.on_save(self.step)
                for callback in callbacks:
                    callback.on_save(self.step)

    def _save(self, path: Path, parts: Mapping[str, Mapping[str, Tensor]], meta: Mapping[str, Any]) -> None:
        if self.divides:
            save_together(path, parts, meta, self.ranks)
        else:
            save_checkpoint(path, parts, meta)

    def _warn(self, line: str) -> None:
        self.notes.append(line)
        if self.ranks.main:
            warnings.warn(f"{line}. Training goes on; free space", CheckpointWarning, stacklevel=3)

    def snapshot(self) -> None:
        """Store the power-function averages; a full disk costs the snapshot, not the run."""
        assert self.tracker is not None
        if not (self.divides or self.ranks.main):
            return
        try:
            self.tracker.store(self.step, self.seen, self._save)
        except CheckpointError as e:
            self._warn(str(e))

    def record(self) -> None:
        """Write the means since the last record."""
        if self.metrics is None:
            return
        now = time.monotonic()
        rate = (self.seen - self._seen_at_mark) / max(now - self._marked, 1e-9)
        values = self.meters.take() | {"images_per_second": rate, "seconds": self.elapsed()}
        if self.noise.value is not None:
            values["noise_scale"] = self.noise.value
        self.metrics.write(self.step, values)
        self._marked, self._seen_at_mark = now, self.seen
        for callback in self.engine.callbacks:
            callback.on_record(self.step, values)

    def close(self) -> None:
        """Close the records."""
        if self.metrics is not None:
            self.metrics.close()

    def _numerics(self) -> dict[str, Any]:
        return self.engine.numerics() | {"processes": self.ranks.world}

    def _parts(self, players: Sequence[Player], states: Sequence[Tensor]) -> dict[str, dict[str, Tensor]]:
        random = {"stream": self.rng.state(), **{_torch_part(i): state for i, state in enumerate(states)}}
        if torch.device(self.engine.device).type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.engine.device)
        averages = self.tracker.averages if self.tracker is not None else {}
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.state(),
            "optimizer": pack(players),
            "random": random,
            **{name: average.state() for name, average in averages.items()},
        }

    def _meta(self, players: Sequence[Player], data: Data) -> dict[str, Any]:
        progress = {
            "stage": self.stage,
            "stage_start": self.stage_start,
            "step": self.step,
            "seen": self.seen,
            "seconds": self.elapsed(),
            "data": data.state(),
            "trained": sorted(self.trained),
            "meters": self.meters.state(),
            "noise": self.noise.state(),
        }
        return {
            **self.engine.meta,
            "progress": progress,
            "optimizer": [p.optimizer.state_dict()["param_groups"] for p in players],
            "scaler": [p.scaler.state_dict() for p in players],
            "numerics": self._numerics(),
            "torch": torch.__version__,
        }


def _torch_part(rank: int) -> str:
    """Where the state of a process's global generator is kept."""
    return f"torch.{rank}" if rank else "torch"


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    model.eval()
    try:
        yield
    finally:
        model.train()


def last_good(run: Path | None) -> str:
    """The name of the newest checkpoint, for a message."""
    found = checkpoints(run) if run is not None else []
    return found[-1].name if found else "none"


def budget(engine: Engine, session: Session) -> tuple[float, str | None]:
    """The part of ``minutes`` and ``kimg`` that is used up, and which of them has ended."""
    spent = {
        "minutes": session.elapsed() / (60 * engine.minutes) if engine.minutes is not None else 0.0,
        "kimg": session.seen / (1000 * engine.kimg) if engine.kimg is not None else 0.0,
    }
    name = max(spent, key=lambda k: spent[k])
    return spent[name], name if spent[name] >= 1 else None
