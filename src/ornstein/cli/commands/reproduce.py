"""``ornstein reproduce``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ornstein.cli.output import Progress, emit

EXAMPLES = "examples:\n  ornstein reproduce ddim\n  ornstein reproduce ddpm --seeds 3\n"


def add(parser: argparse.ArgumentParser) -> None:
    """The recipe, the number of seeds, where the ledger lies."""
    parser.add_argument("name", help="a recipe: see ornstein list")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    parser.add_argument("--out", type=Path, help="the ledger's folder (default: that of the checkout)")


def run(args: argparse.Namespace) -> int:
    """Run the check; the exit code is 0 when the claim holds and 1 when it does not."""
    from ornstein.recipes.reproduce import reproduce

    with Progress(f"reproducing {args.name}") as bar:
        row = reproduce(args.name, seeds=args.seeds, out=args.out, on_progress=bar.update)
    emit(args, asdict(row), str(row))
    return 0 if row.holds else 1
