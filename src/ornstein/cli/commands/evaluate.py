"""``ornstein evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ornstein.cli.commands.sample import add_sampling, draw
from ornstein.cli.output import emit, say, table

EXAMPLES = """examples:
  ornstein evaluate fashion-mnist --against fashion-mnist --split test -n 1000
  ornstein evaluate runs/mine --against photos/ -n 500 -o scores.json
  ornstein evaluate samples/ --against digits --metrics fd,kid
"""


def add(parser: argparse.ArgumentParser) -> None:
    """What, against what, which metrics."""
    parser.add_argument("what", help="a bundled model, a run, a folder of images or an array file")
    parser.add_argument("--against", required=True, help="the reference: a named set, a folder or an array file")
    parser.add_argument(
        "--split", default=None, help="train or test, for data that has both (default: test where it exists)"
    )
    parser.add_argument(
        "--metrics", default="fd,kid,prdc", help="comma-separated: fd, kid, prdc, label_agreement (default fd,kid,prdc)"
    )
    parser.add_argument("-n", type=int, default=1000, help="how many samples to draw and to compare (default 1000)")
    parser.add_argument("-o", "--out", type=Path, help="write the record as JSON")
    add_sampling(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print the numbers with their protocol."""
    import torch

    from ornstein.data import open_data
    from ornstein.evaluation import evaluate
    from ornstein.evaluation.evaluate import PREFERS
    from ornstein.evaluation.features import extractor_for

    names = [m.strip() for m in args.metrics.split(",") if m.strip()]
    about: dict[str, Any] = {"what": args.what, "against": args.against}
    labels = None
    system = _system(args.what)
    size, channels = (system.shape[-1], system.shape[0]) if system is not None else (None, None)
    if system is None:
        images = open_data(args.what)
        size, channels = images.shape[-1], images.shape[0]
        samples = torch.from_numpy(images.x[: args.n].copy())
        about |= {"samples_from": images.name}
    reference, split = _reference(args.against, args.split, size, channels)
    if system is not None:
        drawn = draw(args, system, args.n)
        samples, labels = drawn.bytes, drawn.cond.get("label")
        about |= {k: v for k, v in drawn.provenance.items() if k not in ("config",)} | {"seed": args.seed}
    extractor = extractor_for(reference.name, samples.shape[1])
    if labels is not None and extractor.classes and "label_agreement" not in names:
        names.append("label_agreement")
    theirs = _subset(reference, args.n)
    about |= {"reference_name": reference.name, "split": split}
    report = evaluate(samples, theirs, metrics=names, extractor=extractor, labels=labels, about=about)
    for warning in report.warnings:
        say(f"warning: {warning}")
    if args.out is not None:
        report.save(args.out)
    rows = [(k, f"{v:.5g}", f"{PREFERS.get(k, '')} is better") for k, v in report.values.items()]
    protocol = ", ".join(
        f"{k} {v}" for k, v in report.protocol.items() if not isinstance(v, dict) and k != "extractor_hash"
    )
    emit(
        args,
        {"values": report.values, "protocol": report.protocol},
        table(("METRIC", "VALUE", ""), rows) + f"\n\nprotocol: {protocol}",
    )
    return 0


def _system(what: str) -> Any:
    """The system that ``what`` names, or None if it is data."""
    from ornstein.recipes.house import bundled_models, load

    path = Path(what)
    is_run = (path / "checkpoints").is_dir() or (path / "manifest.json").is_file() or (path / "config.json").is_file()
    return load(what) if what in bundled_models() or is_run else None


def _reference(against: str, split: str | None, size: int | None, channels: int | None) -> tuple[Any, str]:
    from ornstein.data import SOURCES, open_data

    split = split or ("test" if against in SOURCES else "train")
    return open_data(against, size=size, channels=channels, split=split), split


def _subset(images: Any, n: int) -> Any:
    """At most n images, spread evenly over the set (sets are often sorted by class)."""
    import torch

    index = torch.linspace(0, len(images) - 1, min(n, len(images))).round().long()
    return torch.from_numpy(images.x[index.numpy()].copy())
