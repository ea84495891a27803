"""``ornstein ema``."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ornstein.cli.output import emit, require_folder

EXAMPLES = """examples:
  ornstein ema runs/digits --std 0.1 -o runs/digits-0.10
  ornstein ema runs/digits --std 0.15 --step 2000 -o early
"""


def add(parser: argparse.ArgumentParser) -> None:
    """A run, the width, where to."""
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run that was trained with --snapshots")
    parser.add_argument(
        "--std",
        type=float,
        required=True,
        help="width of the average relative to the training time, such as 0.05 or 0.1",
    )
    parser.add_argument("--step", type=int, help="at this stored step (default: the last)")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the checkpoint folder to write")


def run(args: argparse.Namespace) -> int:
    """Make the average and say how near its profile is to the one that was asked for."""
    from ornstein.recipes.average import average

    require_folder(args.out.parent)
    path, found = average(args.run_folder, args.std, args.out, args.step)
    about = {
        "path": str(path),
        "std": found.std,
        "step": found.step,
        "images": found.seen,
        "averages": found.used,
        "profile_error": found.profile_error,
    }
    text = (
        f"an average of relative width {found.std:g} at step {found.step}, of {found.used} stored ones; its profile is within "
        f"{found.profile_error:.2%}\nmodel: {path}\nnext: ornstein sample {shlex.quote(str(path))} -n 64"
    )
    emit(args, about, text)
    return 0
