"""Power-function averages stored during training, from which an average of any width is made afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.training.checkpoint import remove
from ornstein.training.ema import PowerEMA, gamma_of

FOLDER = "snapshots"
Save = Callable[[Path, Mapping[str, Mapping[str, Tensor]], Mapping[str, Any]], None]


@dataclass(frozen=True)
class Snapshots:
    """Which averages are stored and how often. Two widths and some dozens of times are enough; Karras et al. 2024, sec. 3.2."""

    every: int
    """steps between two snapshots; one more at the end of training"""
    stds: tuple[float, ...] = (0.05, 0.10)
    """relative widths"""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError(f"snapshots are taken every so many steps, at least 1; got {self.every}")
        if len(set(self.stds)) != len(self.stds) or not self.stds:
            raise UsageError(f"snapshots need one or more different widths, got {self.stds}")
        for std in self.stds:
            gamma_of(std)


@final
class Tracker:
    """The averages of a run that takes snapshots."""

    def __init__(self, model: nn.Module, spec: Snapshots, run: Path | None, meta: Mapping[str, Any]):
        self.spec, self.model, self.run, self.meta = spec, model, run, meta
        self.averages = {part_name(std): PowerEMA(model, std) for std in spec.stds}
        self.last = 0

    def update(self, batch: int, seen: int) -> None:
        """One step of training."""
        for average in self.averages.values():
            average.update(batch, seen)

    def due(self, step: int, ending: bool) -> bool:
        """Whether a snapshot is to be stored after this step."""
        return step != self.last and (ending or step % self.spec.every == 0)

    def store(self, step: int, seen: int, save: Save) -> None:
        """Write the averages, and all of the model's state that is not averaged, by a function that writes a checkpoint."""
        self.last = step
        if self.run is None:
            return
        averaged = next(iter(self.averages.values())).shadow
        parts: dict[str, Mapping[str, Tensor]] = {name: a.state() for name, a in self.averages.items()}
        parts["rest"] = {n: v for n, v in self.model.state_dict().items() if n not in averaged}
        about = {"step": step, "seen": seen, "stds": list(self.spec.stds)}
        save(self.run / FOLDER / f"step-{step:07d}", parts, {**self.meta, "snapshot": about})

    def forget_after(self, step: int) -> None:
        """Remove snapshots of a future that a resumed run has not reached: it stores its own there."""
        for path in snapshots(self.run) if self.run is not None else []:
            if int(path.name.removeprefix("step-")) > step:
                remove(path)


def part_name(std: float) -> str:
    """The part of a checkpoint that holds the average of this width."""
    return f"power-{std:g}"


def snapshots(run: Path) -> list[Path]:
    """The snapshot folders of a run, oldest first."""
    folder = run / FOLDER
    return sorted(p for p in folder.glob("step-*") if p.is_dir() and "." not in p.name) if folder.is_dir() else []
