"""A training that torchrun starts on several processes, for test_distributed.py.

    torchrun --standalone --nproc-per-node 2 tests/training/ranks.py RUN STEPS [resume]

The process that speaks for all writes the loss of each step to RUN.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from ornstein.data import Images
from ornstein.recipes.house import train
from ornstein.training.distributed import joined


def images() -> Images:
    """Pictures in two classes."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    return Images(rng.integers(0, 255, (40, 1, 8, 8), dtype=np.uint8), y, ("a", "b"), "noise")


def main(run: Path, steps: int, resume: bool) -> None:
    """Train, and note the losses."""
    torch.set_num_threads(1)
    settings = {"widths": "16", "blocks": 1, "batch": 8, "flip": True, "cond_dropout": 0.3, "precision": "fp32"}
    settings |= {"lr": 1e-3, "warmup": 3}
    losses: list[float] = []
    with joined() as (ranks, device):
        _, result = train(
            "edm",
            data=images(),
            out=run,
            settings=settings,
            steps=steps,
            resume=resume,
            device=device,
            on_step=lambda p: losses.append(p.loss),
        )
    if ranks.main:
        about = {"losses": losses, "seen": result.seen, "world": ranks.world, "notes": list(result.notes)}
        run.with_suffix(".json").write_text(json.dumps(about))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["resume"])
