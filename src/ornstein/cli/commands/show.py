"""``ornstein show``."""

from __future__ import annotations

import argparse
import dataclasses

from ornstein.cli.output import emit

EXAMPLES = "examples:\n  ornstein show edm\n  ornstein show ddpm --json\n"


def add(parser: argparse.ArgumentParser) -> None:
    """The recipe's name."""
    parser.add_argument("name", help="a recipe: see ornstein list")


def run(args: argparse.Namespace) -> int:
    """Print what is known of one recipe."""
    from ornstein.recipes import ledger
    from ornstein.recipes.presets import presets
    from ornstein.recipes.registry import card

    c = card(args.name)
    path = ledger.SHIPPED / f"{c.name}.json"
    row = ledger.read(path) if path.is_file() else None
    fields = {f.name: f.default for f in dataclasses.fields(c.config)}
    result = {
        "name": c.name,
        "area": c.area,
        "title": c.title,
        "paper": c.paper,
        "claim": c.claim,
        "equations": c.equations,
        "config": fields,
        "presets": {k: dict(p.settings) for k, p in presets(c.name).items()},
        "measured": dataclasses.asdict(row) if row is not None else None,
    }
    width = max(map(len, fields))
    config = "\n".join(f"  {k:<{width}}  {v!r}" for k, v in fields.items())
    head = f"{c.title}\n{c.paper}\n\nclaim: {c.claim}\n\nequations: {c.equations}"
    sizes = "".join(f"\n  {k}  {p.source}" for k, p in presets(c.name).items())
    sizes = f"\n\npresets (train with --preset NAME):{sizes}" if sizes else ""
    measured = f"measured\n{row.figures()}" if row is not None else "measured: not yet"
    emit(args, result, f"{head}\n\n{measured}\n\nconfig (set with --set field=value):\n{config}{sizes}")
    return 0
