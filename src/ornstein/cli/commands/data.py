"""``ornstein data``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ornstein.cli.output import emit, table

EXAMPLES = "examples:\n  ornstein data list\n  ornstein data fetch fashion-mnist\n  ornstein data show digits\n"


def add(parser: argparse.ArgumentParser) -> None:
    """An action and what it acts on."""
    parser.add_argument("action", choices=("list", "fetch", "show"))
    parser.add_argument("what", nargs="?", help="a named set (fetch), or any data (show)")
    parser.add_argument("--path", type=Path, help="with fetch: a folder that holds the files already")


def run(args: argparse.Namespace) -> int:
    """List the named sets, bring one here, or describe one."""
    from ornstein.core.errors import UsageError
    from ornstein.data import SOURCES, fetch, open_data

    if args.action == "list":
        rows = [(name, s.about, s.licence) for name, s in SOURCES.items()]
        listed = [{"name": n, "about": a, "licence": t} for n, a, t in rows]
        emit(args, listed, table(("NAME", "WHAT", "LICENCE"), rows))
        return 0
    if args.what is None:
        raise UsageError(f"ornstein data {args.action} needs a name; see ornstein data list")
    if args.action == "fetch":
        path = fetch(args.what, args.path)
        emit(args, {"name": args.what, "path": str(path)}, f"{args.what}: {path}")
        return 0
    images = open_data(args.what)
    counts = {}
    if images.labels is not None:
        counts = {c: int((images.labels == i).sum()) for i, c in enumerate(images.classes)}
    about = {
        "name": images.name,
        "images": len(images),
        "shape": list(images.shape),
        "classes": counts,
        "licence": images.licence,
    }
    emit(args, about, table(("WHAT", "VALUE"), [(k, str(v)) for k, v in about.items()]))
    return 0
