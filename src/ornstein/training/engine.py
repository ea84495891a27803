"""Where and how to train, what is reported after each step, and how training ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from ornstein.core.errors import UsageError
from ornstein.training.callbacks import Callback
from ornstein.training.progress import Progress
from ornstein.training.snapshots import Snapshots


@dataclass
class Engine:
    """Where and how to train: device, budget, precision, averages, records. ``run`` None keeps everything in memory.

    Of the budgets (a stage's steps, ``minutes``, ``kimg``: thousands of samples) the one that is reached first ends
    training. Minutes count the training of all sessions of a run.
    """

    run: Path | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    seed: int = 0
    minutes: float | None = None
    kimg: float | None = None
    accumulate: int = 1
    """parts in which a batch goes through the network, to hold the activations of one part only"""
    autocast: Literal["bf16", "fp16"] | None = None
    """of whole objectives; None leaves precision to them (a denoiser's own autocast needs nothing here)"""
    scale_loss: bool | None = None
    """keep small gradients from vanishing in fp16; None: where ``autocast`` is fp16"""
    recompute: bool = False
    """activations of the network's blocks are computed again in the backward pass instead of being kept"""
    compile: bool | str = False
    """``torch.compile`` each of the network's blocks; a string names the backend"""
    sharded: bool = False
    """weights, gradients, averages and optimiser states are divided among the processes that torchrun started (FSDP2) rather
    than kept whole in each; alone, there is nothing to divide. The trained model stays divided: load the run's checkpoint"""
    ema_half_life: float = 500_000
    ema_ramp: float = 0.05
    snapshots: Snapshots | None = None
    """averages stored on the way, from which one of any length is made later"""
    log_every: int = 50
    noise_scale_every: int = 0
    """steps between measurements of the gradient's noise scale; with ``accumulate`` > 1 it comes for nothing, always"""
    tensorboard: bool = True
    """mirror the metrics to TensorBoard where it is installed"""
    save_every_seconds: float = 300
    keep: int = 2
    resume: bool = False
    callbacks: Sequence[Callback] = ()
    on_step: Callable[[Progress], None] | None = None
    on_save: Callable[[int], None] | None = None
    """called with the EMA weights in place whenever a checkpoint was written: sample strips. With ``sharded`` by every process,
    because all are needed to run the network"""

    def __post_init__(self) -> None:
        for name in ("minutes", "kimg"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be positive, got {value}")
        for name in ("accumulate", "log_every", "keep"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.noise_scale_every < 0:
            raise UsageError(f"noise_scale_every must be >= 0 (0: not measured), got {self.noise_scale_every}")
        if self.autocast not in (None, "bf16", "fp16"):
            raise UsageError(f"autocast must be 'bf16', 'fp16' or None, got '{self.autocast}'")
        if self.autocast == "fp16" and torch.device(self.device).type == "cpu":
            raise UsageError("fp16 is for CUDA devices; on a CPU take autocast='bf16', which needs no loss scaling")
        if self.sharded and self.scaled:
            raise UsageError(
                "sharded training takes bf16 or fp32: processes would have to agree on the scale of fp16's loss"
            )
        if self.sharded and self.compile:
            raise UsageError("sharded training runs the network's blocks as they are; leave out compile")

    @property
    def scaled(self) -> bool:
        """Whether losses are scaled."""
        return self.autocast == "fp16" if self.scale_loss is None else self.scale_loss

    def numerics(self) -> dict[str, Any]:
        """What a run's last bits depend on besides seed and data; a resume under other values is exact no longer."""
        return {
            "torch": torch.__version__,
            "device": self.device,
            "threads": torch.get_num_threads(),
            "accumulate": self.accumulate,
            "autocast": self.autocast,
            "scale_loss": self.scaled,
            "compile": str(self.compile),
            "noise_scale_every": self.noise_scale_every,
        }


@dataclass(frozen=True)
class Result:
    """How training ended."""

    step: int
    seen: int
    seconds: float
    loss: float
    reason: str
    """``steps``, ``minutes``, ``kimg``, a signal's name, or what a callback gave"""
    notes: tuple[str, ...]
    """what the user should know: checkpoints passed over as damaged or not written, a resume that is not exact"""
