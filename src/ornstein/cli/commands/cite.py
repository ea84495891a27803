"""``ornstein cite``."""

from __future__ import annotations

import argparse

from ornstein.cli.output import emit

EXAMPLES = "examples:\n  ornstein cite ddpm\n"


def add(parser: argparse.ArgumentParser) -> None:
    """The recipe's name."""
    parser.add_argument("name", help="a recipe: see ornstein list")


def run(args: argparse.Namespace) -> int:
    """Print BibTeX."""
    from ornstein.recipes.registry import card

    c = card(args.name)
    emit(args, {"name": c.name, "bibtex": c.bibtex}, c.bibtex)
    return 0
