"""``ornstein data``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ornstein.cli.output import emit, table

EXAMPLES = """examples:
  ornstein data list
  ornstein data fetch fashion-mnist
  ornstein data show digits --split test
  ornstein data show photos/
"""


def add(parser: argparse.ArgumentParser) -> None:
    """An action and what it acts on."""
    parser.add_argument("action", choices=("list", "fetch", "show"))
    parser.add_argument("what", nargs="?", help="a named set (fetch), or any data (show)")
    parser.add_argument("--path", type=Path, help="with fetch: a folder that holds the files already")
    parser.add_argument("--split", default="train", help="with show: train or test (default train)")
    parser.add_argument("--size", type=int, help="with show: bring the images to this size")
    parser.add_argument("--strict", action="store_true", help="with show: refuse a folder with unreadable files")


def run(args: argparse.Namespace) -> int:
    """List the named sets, bring one here, or describe one."""
    from ornstein.core.errors import UsageError
    from ornstein.data import SOURCES, fetch, open_data

    if args.action == "list":
        rows = [(name, s.about, s.licence) for name, s in SOURCES.items()]
        listed = [{"name": n, "about": a, "licence": t, "splits": SOURCES[n].splits} for n, a, t in rows]
        emit(args, listed, table(("NAME", "WHAT", "LICENCE"), rows))
        return 0
    if args.what is None:
        raise UsageError(f"ornstein data {args.action} needs a name; see ornstein data list")
    if args.action == "fetch":
        path = fetch(args.what, args.path)
        emit(
            args,
            {"name": args.what, "path": None if path is None else str(path)},
            f"{args.what}: {path or 'comes with the package'}",
        )
        return 0
    images = open_data(args.what, size=args.size, split=args.split, strict=args.strict)
    counts: dict[str, int] = {}
    if images.labels is not None:
        counts = {c: int((images.labels == i).sum()) for i, c in enumerate(images.classes)}
    about = {
        "name": images.name,
        "images": len(images),
        "shape": list(images.shape),
        "classes": counts,
        "source": images.source,
        "licence": images.licence,
    }
    shown = about | {
        "shape": " x ".join(map(str, images.shape)),
        "classes": ", ".join(f"{k} ({v})" for k, v in counts.items()) or "none",
    }
    emit(args, about, table(("WHAT", "VALUE"), [(k, str(v) or "not stated") for k, v in shown.items()]))
    return 0
