"""``ornstein evaluate``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ornstein.cli.commands.sample import add_sampling, check, draw
from ornstein.cli.output import emit, require_folder, say, table
from ornstein.core.errors import DataError, UsageError, suggest, unknown

EXAMPLES = """examples:
  ornstein evaluate fashion-mnist --against fashion-mnist --split test -n 1000
  ornstein evaluate runs/mine --against photos/ -n 500 -o scores.json
  ornstein evaluate out/ --against digits --metrics fd,kid
"""

GRID = "grid.png"
"""What ``ornstein sample`` writes beside the samples."""


def add(parser: argparse.ArgumentParser) -> None:
    """What, against what, which metrics."""
    parser.add_argument("what", help="a bundled model, a run, a folder of images or an array file")
    parser.add_argument("--against", required=True, help="the reference: a named set, a folder or an array file")
    parser.add_argument("--split", help="of the reference: train or test (default: test of a named set, else train)")
    parser.add_argument(
        "--metrics",
        default="fd,kid,prdc",
        help="comma-separated: fd, kid, prdc, label_agreement, nearest (default fd,kid,prdc)",
    )
    parser.add_argument("-n", type=int, default=1000, help="how many images on either side (default 1000)")
    parser.add_argument("-o", "--out", type=Path, help="write numbers and protocol as JSON")
    add_sampling(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print the numbers with their protocol."""
    check(args)
    names = [m.strip() for m in args.metrics.split(",") if m.strip()]
    if not names:
        raise UsageError("--metrics names none")
    if args.out is not None:
        require_folder(args.out.parent)
    from ornstein.evaluation import evaluate
    from ornstein.evaluation.evaluate import METRICS, PREFERS
    from ornstein.evaluation.features import extractor_for

    for name in names:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    begin = time.monotonic()
    system = _system(args.what)
    given: Any = _pictures(args.what) if system is None else None
    channels, size, _ = (given if system is None else system).shape
    reference, split = _reference(args.against, args.split, size, channels)
    extractor = extractor_for(reference.name, channels)
    classes = (given if system is None else system).classes
    comparable = bool(extractor.classes) and tuple(extractor.classes) == tuple(classes)
    if "label_agreement" in names and not comparable:
        raise DataError(
            f"label_agreement needs a classifier of the samples' classes; none is bundled for '{reference.name}'"
        )
    train = _train(args.against, split, size, channels) if "nearest" in names else None
    about: dict[str, Any] = {"what": args.what, "against": reference.name, "split": split}
    if system is not None:
        drawn, evaluations = draw(args, system, {})
        samples, labels = drawn.bytes, drawn.cond.get("label")
        about |= {**drawn.provenance, "evaluations": evaluations, "seed": args.seed}
        if comparable and "label_agreement" not in names:
            names.append("label_agreement")
    else:
        chosen = given[_spread(len(given), args.n)]
        samples, labels = chosen.x, chosen.cond.get("label")
    theirs = reference[_spread(len(reference), args.n)].x
    report = evaluate(samples, theirs, metrics=names, extractor=extractor, labels=labels, train=train, about=about)
    for warning in report.warnings:
        say(f"warning: {warning}")
    if args.out is not None:
        report.save(args.out)
    rows = [(k, f"{v:.5g}", f"{PREFERS[k]} is better" if k in PREFERS else "") for k, v in report.values.items()]
    hidden = ("config", "weights", "extractor_hash", "software")
    protocol = ", ".join(f"{k} {v}" for k, v in report.protocol.items() if k not in hidden)
    text = f"{table(('METRIC', 'VALUE', ''), rows)}\n\nprotocol: {protocol}"
    text += f"\n{time.monotonic() - begin:.0f} s" + (f"\n{args.out}" if args.out is not None else "")
    emit(args, {"values": report.values, "protocol": report.protocol, "warnings": report.warnings}, text)
    return 0


def _system(what: str) -> Any:
    """The system that ``what`` names, or None if it is data."""
    from ornstein.data import SOURCES
    from ornstein.recipes.house import bundled_models, load
    from ornstein.training.checkpoint import PICKLES

    path = Path(what)
    if what not in bundled_models() and not path.exists():
        known = {*bundled_models(), *SOURCES}
        if what in SOURCES:
            return None
        raise UsageError(f"'{what}' is no bundled model, no data set and no path here: {suggest(what, known)}")
    made_by_us = any((path / name).exists() for name in ("checkpoints", "manifest.json", "config.json"))
    is_weights = path.is_file() and (path.suffix in PICKLES or path.suffix == ".safetensors")
    return load(what) if what in bundled_models() or made_by_us or is_weights else None


def _pictures(what: str) -> Any:
    """Images to be measured. Pictures of a folder keep their size if they share one; the grid beside them is not one."""
    from PIL import Image

    from ornstein.data import FOLDER_SIZE, SOURCES, open_data, read_folder
    from ornstein.data.folder import list_folder

    path = Path(what)
    if what in SOURCES or not path.is_dir():
        return open_data(what)
    exclude = frozenset({GRID})
    sizes = set()
    for file in list_folder(path, exclude).files:
        try:
            with Image.open(file) as picture:
                sizes.add(picture.size)
        except OSError:
            continue  # read_folder names and counts what cannot be read
    width, height = sizes.pop() if len(sizes) == 1 else (FOLDER_SIZE, FOLDER_SIZE)
    return read_folder(path, width if width == height else FOLDER_SIZE, exclude=exclude)[0]


def _reference(against: str, split: str | None, size: int, channels: int) -> tuple[Any, str]:
    from ornstein.data import SOURCES, open_data

    split = split or ("test" if against in SOURCES else "train")
    return open_data(against, size=size, channels=channels, split=split), split


def _train(against: str, split: str, size: int, channels: int) -> Any:
    """The training images, for the distance to the nearest."""
    from ornstein.data import open_data

    if split == "train":
        raise UsageError("nearest compares test images with training images: give --split test, of data that has one")
    import torch

    return torch.from_numpy(open_data(against, size=size, channels=channels).x.copy())


def _spread(have: int, want: int) -> Any:
    """At most ``want`` indices, spread evenly: sets are often sorted by class."""
    import numpy as np

    return np.linspace(0, have - 1, min(want, have)).round().astype(np.int64)
