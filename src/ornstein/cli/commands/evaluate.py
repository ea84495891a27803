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
    open_extractor,
    open_pictures,
    open_reference,
    open_system,
    open_train,
    require_classifier,
    saved_reference,
    settings_of,
)
from ornstein.cli.output import Progress, emit, require_folder, say, table

EXAMPLES = """examples:
  ornstein evaluate fashion-mnist --against fashion-mnist --split test -n 1000
  ornstein evaluate runs/mine --against photos/ -n 10000 --seeds 3 -o scores.json --report scores.html
  ornstein evaluate out/ --against digits --metrics fd,kid
  ornstein evaluate digits --against digits --split train --save-reference digits.safetensors
  ornstein evaluate out/ --against photos/ --metrics fid --extractor inception=pt_inception-2015-12-05-6726825d.pth
"""


def add(parser: argparse.ArgumentParser) -> None:
    """What, against what, which metrics."""
    parser.add_argument("what", help="a bundled model, a run, a folder of images or an array file")
    add_protocol(parser)
    parser.add_argument(
        "-o", "--out", type=Path, help="write the record as JSON; finished parts lie beside it until then"
    )
    parser.add_argument("--report", type=Path, help="write a page with pictures, neighbours and curves (.html)")
    parser.add_argument(
        "--save-reference", type=Path, help="keep the reference's features for later calls (.safetensors)"
    )
    add_sampling(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print the numbers with their protocol."""
    check(args)
    names = check_protocol(args)
    for path in (args.out, args.report, args.save_reference):
        if path is not None:
            require_folder(path.parent)
    begin = time.monotonic()
    with ExitStack() as stack:
        work = _work(args, stack)
        record, evaluated = _measure(args, names, work)
        for warning in record.warnings:
            say(f"warning: {warning}")
        if args.out is not None:
            record.save(args.out)
            shutil.rmtree(work)
        if args.report is not None:
            from ornstein.cli.evaluation_page import write_page

            write_page(args.report, record, evaluated)
    from ornstein.evaluation.registry import PREFERS

    rows = [(k, record.shown(k), f"{b} is better" if (b := PREFERS.get(k)) else "") for k in record.values]
    hidden = ("extractor_hash", "reference_hash")
    protocol = ", ".join(f"{k} {v}" for k, v in record.protocol.items() if k not in hidden and v is not None)
    shown = ("what", "recipe", "sampler", "steps", "grid", "guidance", "evaluations", "seeds")
    subject = ", ".join(f"{k} {record.subject[k]}" for k in shown if k in record.subject)
    text = f"{table(('METRIC', 'VALUE', ''), rows)}\n\nprotocol: {protocol}\nsubject: {subject}"
    made = [str(p) for p in (args.out, args.report, args.save_reference) if p is not None]
    emit(args, record.as_json(), "\n".join([text, f"{time.monotonic() - begin:.0f} s", *made]))
    return 0


def _work(args: argparse.Namespace, stack: ExitStack) -> Path:
    """Where finished parts are kept: beside the result, so that the same command goes on after an interruption."""
    if args.out is not None:
        return require_folder(args.out.with_name(args.out.name + ".parts"))
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ornstein-")))


def _measure(args: argparse.Namespace, names: list[str], work: Path) -> tuple[Any, dict[str, Any]]:
    """The record over all seeds, and the images that it stands on, for the report."""
    from ornstein.evaluation import Reference, evaluate, features_of
    from ornstein.evaluation.record import merge
    from ornstein.evaluation.registry import METRICS
    from ornstein.evaluation.sources import Chosen, spread

    system = open_system(args.what)
    given: Any = open_pictures(args.what) if system is None else None
    subject_of: Any = given if system is None else system
    channels, size, _ = subject_of.shape
    saved = saved_reference(args.against)
    if saved is not None:
        theirs, data, split, resize = saved, saved.name, saved.split, "as saved"
    else:
        images, split, resize = open_reference(args.against, args.split, size, channels)
        theirs, data = Chosen(images, spread(len(images), args.n)), images.name
    extractor = open_extractor(args.extractor, data, channels, args.extractor_hash)
    comparable = require_classifier(names, extractor, subject_of.classes, data)
    if system is not None and comparable and "label_agreement" not in names:
        names.append("label_agreement")
    needs = set().union(*(METRICS[n].needs for n in names))
    train = open_train(args.against, split, size, channels) if "train" in needs else None
    if saved is None and args.save_reference is not None:
        saved = Reference(
            features_of(theirs, extractor),
            theirs.shape,
            extractor.name,
            extractor.hash,
            theirs.content_hash,
            data,
            split,
        )
        saved.save(args.save_reference)
        theirs = theirs if "pairs" in needs else saved
    protocol = {"reference_name": data, "split": split, "reference_resize": resize}
    records, drawn = [], list[Any]()
    with Progress(f"evaluating {args.what}") as bar:
        for i in range(args.seeds if system is not None else 1):
            subject: dict[str, Any] = {"what": args.what}
            if system is None:
                drawn.append(Chosen(given, spread(len(given), args.n)))
            else:
                drawn.append(draws_of(args, system, args.seed + i * args.n))
                subject |= {**drawn[-1].provenance, "seed": args.seed}
            record = evaluate(
                drawn[-1], theirs, metrics=names, extractor=extractor, train=train, settings=settings_of(args), draws=args.draws,
                protocol=protocol, subject=subject, work=work,
                on_progress=lambda fraction, text, i=i: bar.update((i + fraction) / args.seeds, text),  # type: ignore[misc]
            )  # fmt: skip
            if system is not None:
                record.subject["evaluations"] = drawn[-1].evaluations
                record.subject["seeds"] = [args.seed, args.seed + args.seeds * args.n - 1]
            records.append(record)
    return merge(records), {
        "samples": drawn[0], "reference": theirs, "train": train, "extractor": extractor, "system": system, "data": data
    }  # fmt: skip


def draws_of(args: argparse.Namespace, system: Any, seed: int) -> Any:
    """The system's samples under the options of the command."""
    from ornstein.cli.device import require_device
    from ornstein.recipes.drawn import Drawn

    system.to(require_device(args.device))
    if args.fast:
        system.fast()
    return Drawn(
        system, args.n, seed=seed, steps=args.steps, sampler=args.sampler, grid=args.grid, guidance=args.guidance,
        batch=args.batch,
    )  # fmt: skip
