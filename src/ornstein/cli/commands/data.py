"""``ornstein data``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ornstein.cli.output import emit, say, table

EXAMPLES = """examples:
  ornstein data list
  ornstein data fetch stamps
  ornstein data show emoji --split test --out emoji.png
  ornstein data show photos/ --size 64
  ornstein data show series.npz --kind series
  ornstein data pack photos.zip --size 64 --out photos-64
"""
_SHOWN = 3  # captions and texts


def add(parser: argparse.ArgumentParser) -> None:
    """An action and what it acts on."""
    parser.add_argument("action", choices=("list", "fetch", "show", "pack"))
    parser.add_argument("what", nargs="?", help="a named set (fetch), or any data (show, pack)")
    parser.add_argument("--path", type=Path, help="with fetch: a folder that holds the files already")
    parser.add_argument("--split", default="train", help="with show and pack: train or test (default train)")
    parser.add_argument("--size", type=int, help="with show and pack: bring the images to this size")
    parser.add_argument("--kind", help="with show and pack: what an array is, such as series or points")
    parser.add_argument(
        "--strict", action="store_true", help="with show and pack: refuse a folder with unreadable files"
    )
    parser.add_argument("--out", type=Path, help="with show: write a picture here; with pack: the folder to make")


def run(args: argparse.Namespace) -> int:
    """List the named sets, bring one here, describe one, or store one in a folder that opens at once."""
    from ornstein.core.errors import UsageError
    from ornstein.data import SOURCES, fetch, save_store

    if args.action == "list":
        rows = [(name, s.kind, s.about, s.licence) for name, s in SOURCES.items()]
        listed = [{"name": n, "kind": k, "about": a, "licence": t, "splits": SOURCES[n].splits} for n, k, a, t in rows]
        emit(args, listed, table(("NAME", "KIND", "WHAT", "LICENCE"), rows))
        return 0
    if args.what is None:
        raise UsageError(f"ornstein data {args.action} needs a name; see ornstein data list")
    if args.action == "fetch":
        if args.what in SOURCES:
            say(f"{args.what}: {SOURCES[args.what].about}")
        from ornstein.cli.fetching import fetching

        with fetching(args.what):
            path = fetch(args.what, args.path)
        licence = SOURCES[args.what].licence
        emit(
            args,
            {"name": args.what, "path": None if path is None else str(path), "licence": licence},
            f"{args.what}: {path or 'comes with the package'}\nlicence: {licence}",
        )
        return 0
    data = _open(args)
    if args.action == "pack":
        if args.out is None:
            raise UsageError("ornstein data pack needs a folder to make: --out FOLDER")
        save_store(data, args.out)
        emit(args, {"path": str(args.out), "count": len(data), "hash": data.content_hash}, f"{len(data)} in {args.out}")
        return 0
    _show(args, data)
    return 0


def _open(args: argparse.Namespace) -> Any:
    from ornstein.data import SOURCES, open_data, open_table

    named = args.what in SOURCES
    if args.kind is not None or (named and SOURCES[args.what].kind != "images"):
        return open_table(args.what, args.split, args.kind)
    if args.size is not None or args.strict:
        return open_data(args.what, size=args.size, split=args.split, strict=args.strict)
    return open_table(args.what, args.split)


def _show(args: argparse.Namespace, data: Any) -> None:
    from ornstein.core.errors import UsageError
    from ornstein.data.picture import picture

    counts: dict[str, int] = {}
    if data.labels is not None:
        counts = {c: int((data.labels == i).sum()) for i, c in enumerate(data.classes)}
    captions = list(data.captions[:_SHOWN]) if data.captions is not None else []
    texts = [data.text(i) for i in range(min(_SHOWN, len(data)))] if data.symbols else []
    about: dict[str, Any] = {
        "name": data.name,
        "kind": data.kind,
        "images" if data.kind == "images" else "samples": len(data),
        "shape": list(data.shape),
        "classes": counts,
        "source": data.source,
        "licence": data.licence,
        "hash": data.content_hash,
        **({"rate": data.rate} if data.rate else {}),
        **({"conditions": {k: list(v.shape[1:]) for k, v in data.conds.items()}} if data.conds else {}),
        **({"captions": captions} if captions else {}),
        **({"texts": texts} if texts else {}),
    }
    if args.out is not None:
        drawn = picture(data)
        if drawn is None:
            raise UsageError(f"{data.kind} are not drawn; leave out --out")
        args.out.parent.mkdir(parents=True, exist_ok=True)
        drawn.save(args.out, format="PNG")
        about["picture"] = str(args.out)
    shown = about | {
        "shape": " x ".join(map(str, data.shape)),
        "classes": ", ".join(f"{k} ({v})" for k, v in counts.items()) or "none",
        "captions": " | ".join(captions),
        "texts": " | ".join(texts),
        "conditions": ", ".join(f"{k} {tuple(v.shape[1:])}" for k, v in data.conds.items()),
    }
    optional = ("captions", "texts", "conditions")
    rows = [(k, str(v) or "not stated") for k, v in shown.items() if v or k not in optional]
    emit(args, about, table(("WHAT", "VALUE"), rows))
