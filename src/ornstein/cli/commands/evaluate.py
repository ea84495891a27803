"""``ornstein evaluate``."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ornstein.cli.commands.sample import add_sampling, check
from ornstein.cli.evaluating import (
    add_protocol,
    check_protocol,
    count_images,
    draws_of,
    no_more_than,
    open_against,
    open_pictures,
    open_system,
    over_seeds,
    processes,
    require_classifier,
    to_device,
)
from ornstein.cli.measuring import IMAGES, add_measuring, kind_asked, measure_files
from ornstein.cli.output import Progress, emit, require_folder, say, table
from ornstein.core.errors import UsageError

EXAMPLES = """examples:
  ornstein evaluate fashion-mnist --against fashion-mnist --split test -n 1000
  ornstein evaluate runs/mine --against photos/ -n 10000 --seeds 3 -o scores.json --report scores.html
  ornstein evaluate out/ --against digits --metrics fd,kid
  ornstein evaluate digits --against digits --split train --save-reference digits.safetensors
  ornstein evaluate out/ --against photos/ --metrics fid --extractor inception=pt_inception-2015-12-05-6726825d.pth
  ornstein evaluate forecasts.npz --against truth.npz --metrics crps,crps_sum,coverage
  ornstein evaluate synthetic.csv --against test.csv --train train.csv --metrics all --set target=income
  ornstein evaluate generated.txt --against references.txt --metrics bleu,rouge,self_bleu
"""


def add(parser: argparse.ArgumentParser) -> None:
    """What, against what, which metrics."""
    parser.add_argument(
        "what",
        help="a bundled model, a run, a folder of images, an array file, or a file of series, rows, scores or texts",
    )
    add_protocol(parser)
    parser.add_argument(
        "-o", "--out", type=Path, help="write the record as JSON; finished parts lie beside it until then"
    )
    parser.add_argument("--report", type=Path, help="write a page with pictures, neighbours and curves (.html)")
    parser.add_argument(
        "--save-reference", type=Path, help="keep the reference's features for later calls (.safetensors)"
    )
    add_measuring(parser)
    add_sampling(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print the numbers with their protocol."""
    begin = time.monotonic()
    kind = kind_asked(args)
    if kind != IMAGES:
        if args.out is not None:
            require_folder(args.out.parent)
        record = measure_files(args, kind)
        if args.out is not None:
            record.save(args.out)
        _print(args, record, begin)
        return 0
    if args.train is not None or args.set:
        raise UsageError("--train and --set are for files of series, tables, scores or texts; --kind says which")
    count_images(args)
    check(args)
    names = check_protocol(args)
    for path in (args.out, args.report, args.save_reference):
        if path is not None:
            require_folder(path.parent)
    with processes() as first, ExitStack() as stack:
        work = _work(args, stack)
        record, evaluated = _measure(args, names, work)
    if not first:
        return 0
    if args.out is not None:
        record.save(args.out)
        shutil.rmtree(work)
    if args.report is not None:
        from ornstein.cli.evaluation_page import write_page

        write_page(args.report, record, evaluated)
    _print(args, record, begin)
    return 0


def _print(args: argparse.Namespace, record: Any, begin: float) -> None:
    """The numbers, their protocol, and the files that were made."""
    from ornstein.evaluation.modalities import PREFERS

    for warning in record.warnings:
        say(f"warning: {warning}")
    rows = [(k, record.shown(k), f"{b} is better" if (b := PREFERS.get(k)) else "") for k in record.values]
    hidden = ("extractor_hash", "reference_hash")
    protocol = ", ".join(f"{k} {v}" for k, v in record.protocol.items() if k not in hidden and v is not None)
    shown = ("what", "recipe", "sampler", "steps", "grid", "guidance", "evaluations", "seeds")
    subject = ", ".join(f"{k} {record.subject[k]}" for k in shown if k in record.subject)
    text = f"{table(('METRIC', 'VALUE', ''), rows)}\n\nprotocol: {protocol}\nsubject: {subject}"
    made = [str(p) for p in (args.out, args.report, args.save_reference) if p is not None]
    emit(args, record.as_json(), "\n".join([text, f"{time.monotonic() - begin:.0f} s", *made]))


def _work(args: argparse.Namespace, stack: ExitStack) -> Path:
    """Where finished parts are kept: beside the result, so that the same command goes on after an interruption."""
    if args.out is not None:
        return require_folder(args.out.with_name(args.out.name + ".parts"))
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ornstein-")))


def _measure(args: argparse.Namespace, names: list[str], work: Path) -> tuple[Any, dict[str, Any]]:
    """The record over all seeds, and the images that it stands on, for the report."""
    from ornstein.evaluation.bias import LEAST_SHARE
    from ornstein.evaluation.registry import DEFAULT
    from ornstein.evaluation.sources import Chosen, spread

    system = open_system(args.what)
    given: Any = open_pictures(args.what) if system is None else None
    measured: Any = given if system is None else system
    channels, size, _ = given.shape if system is None else system.data_shape
    against = open_against(args, names, size, channels)
    if system is not None and against.images is not None:
        no_more_than(args, len(against.images))
    if against.images is not None and names == list(DEFAULT):
        few = min(args.n, len(against.images), len(given) if system is None else args.n)
        if few * LEAST_SHARE < against.extractor.dims:
            # Nobody asked for it by name: a folder of a user's own may be small.
            names.remove("fd")
            say(f"warning: {few} images are too few for a Frechet distance, which is left out; kid has no bias")
    comparable = require_classifier(names, against.extractor, measured.classes, against.name)
    if system is not None and comparable and "label_agreement" not in names:
        names.append("label_agreement")
    if args.save_reference is not None:
        _save(args.save_reference, against)
    if system is None:
        sources: list[Any] = [Chosen(given, spread(len(given), args.n))]
    else:
        to_device(args, system)
        seeds = [args.seed + i * args.n for i in range(args.seeds)]
        sources = [draws_of(args, system, seed, args.steps, args.sampler) for seed in seeds]
    with Progress(f"evaluating {args.what}") as bar:
        record = over_seeds(args, names, against, sources, {"what": args.what}, work, bar.update)
    return record, {"samples": sources[0], "against": against, "system": system, "seed": args.seed}


def _save(path: Path, against: Any) -> None:
    """The reference's features, for later calls."""
    from ornstein.evaluation import Reference, features_of
    from ornstein.evaluation.stream import ranks

    if against.images is None:
        raise UsageError(f"the reference is a saved one already; copy its file to {path}")
    rows, extractor = features_of(against.reference, against.extractor), against.extractor
    if ranks()[0] == 0:
        hashed = against.reference.content_hash
        shape, split = against.reference.shape, against.split
        Reference(rows, shape, extractor.name, extractor.hash, hashed, against.name, split).save(path)
