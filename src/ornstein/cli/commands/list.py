"""``ornstein list``."""

from __future__ import annotations

import argparse

from ornstein.cli.output import emit, table

EXAMPLES = "examples:\n  ornstein list\n  ornstein list --json\n"


def add(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(args: argparse.Namespace) -> int:
    """Print the recipes and the bundled models."""
    from ornstein.recipes.house import recipes
    from ornstein.recipes.saved import bundled_models

    cards = recipes()
    models = bundled_models()
    result = {
        "recipes": [
            {"name": c.name, "area": c.area, "title": c.title, "paper": c.paper, "claim": c.claim} for c in cards
        ],
        "models": models,
    }
    text = table(("RECIPE", "AREA", "PAPER"), [(c.name, c.area, c.title) for c in cards])
    emit(args, result, text + "\n\nbundled models: " + (", ".join(models) or "none"))
    return 0
