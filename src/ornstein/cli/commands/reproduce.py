"""``ornstein reproduce``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ornstein.cli.output import Progress, duration, emit, say, table
from ornstein.core.errors import UsageError

EXAMPLES = (
    "examples:\n  ornstein reproduce ddim\n  ornstein reproduce ddpm --seeds 3\n  ornstein reproduce --all --jobs 2\n"
)


def add(parser: argparse.ArgumentParser) -> None:
    """The recipe or all, the number of seeds, where the ledger lies."""
    parser.add_argument("name", nargs="?", help="a recipe: see ornstein list")
    parser.add_argument(
        "--all",
        action="store_true",
        help="every recipe without a row of today's code over so many seeds; called again, it goes on with what is left",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        help="how many seeds, or with --all recipes, at a time, each on one thread if several (default 1)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    parser.add_argument("--out", type=Path, help="the ledger's folder (default: that of the checkout)")


def run(args: argparse.Namespace) -> int:
    """Run the check; the exit code is 0 when the claim holds and 1 when it does not, or one of all does not."""
    if (args.name is None) != args.all:
        raise UsageError("name a recipe, or give --all")
    if args.all:
        return _all(args)
    from ornstein.recipes.reproduce import reproduce

    with Progress(f"reproducing {args.name}") as bar:
        row = reproduce(args.name, seeds=args.seeds, out=args.out, on_progress=bar.update, jobs=args.jobs)
    emit(args, asdict(row), str(row))
    return 0 if row.holds else 1


def _all(args: argparse.Namespace) -> int:
    from ornstein.recipes.reproduce_all import Outcome, reproduce_all

    def tell(outcome: Outcome, done: int, of: int) -> None:
        said = outcome.error or f"{_verdict(outcome.holds)}, {duration(outcome.seconds)}"
        say(f"{done} of {of}: {outcome.recipe}: {said}")

    outcomes = reproduce_all(args.seeds, args.jobs, args.out, tell)
    lines = [(o.recipe, _verdict(o.holds), duration(o.seconds)) for o in outcomes]
    text = table(("RECIPE", "HOLDS", "TIME"), lines) if lines else "every recipe has a row of today's code"
    emit(args, [asdict(o) for o in outcomes], text)
    return 0 if all(o.holds for o in outcomes) else 1


def _verdict(holds: bool | None) -> str:
    return {True: "holds", False: "does not hold", None: "no row"}[holds]
