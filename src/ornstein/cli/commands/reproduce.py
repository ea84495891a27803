"""``ornstein reproduce``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ornstein.cli.output import Progress, emit, table

EXAMPLES = "examples:\n  ornstein reproduce ddim\n  ornstein reproduce ddpm --seeds 3\n"


def add(parser: argparse.ArgumentParser) -> None:
    """The recipe, the number of seeds, where the ledger lies."""
    parser.add_argument("name", help="a recipe: see ornstein list")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    parser.add_argument("--out", type=Path, help="the ledger's folder (default: results/ of the checkout)")


def run(args: argparse.Namespace) -> int:
    """Run the check; the exit code is 0 when the claim holds and 1 when it does not."""
    from ornstein.recipes.reproduce import reproduce

    with Progress(f"reproducing {args.name}") as bar:
        row = reproduce(args.name, seeds=args.seeds, out=args.out, on_progress=bar.update)
    emit(args, row, describe(row))
    return 0 if row["holds"] else 1


def describe(row: dict[str, Any]) -> str:
    """The ledger row as text."""
    head = table(("WHAT", "VALUE"), [(k, str(v)) for k, v in row.items() if not isinstance(v, dict | list)])
    lists = [(k, v) for k, v in row.items() if isinstance(v, dict | list)]
    return head + "".join(f"\n{k}: {v}" for k, v in lists)
