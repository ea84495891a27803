"""``ornstein evaluate`` of files that hold no images: series, tables, scores and masks, texts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ornstein.cli.output import Progress
from ornstein.core.errors import DataError, UsageError, unknown

IMAGES = "images"


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Options of files that hold no images."""
    parser.add_argument(
        "--kind",
        help="what the files hold: images, series, tables, detection, text, audio, video, points, voxels, molecules, proteins "
        "or captions (default: what the metrics or the endings say)",
    )
    parser.add_argument(
        "--train", type=Path, help="a file of the training data, for closest_record and ngram_perplexity"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="of what series, tables, scores or texts are measured with, such as tokeniser=words or target=income; repeatable",
    )


def kind_asked(args: argparse.Namespace) -> str:
    """What is to be measured: as ``--kind``, the names of the metrics, or the file's ending say.

    Raises:
        UsageError: an unknown kind or metric, metrics of several kinds.
    """
    from ornstein.cli.reading import kind_of
    from ornstein.cli.reading_sets import modality_of_set
    from ornstein.evaluation.modalities import MODALITIES, modality_with
    from ornstein.evaluation.registry import METRICS

    names = names_of(args)
    if args.kind is not None:
        if args.kind not in (IMAGES, *MODALITIES):
            raise unknown("kind", args.kind, (IMAGES, *MODALITIES))
        kind: str = args.kind
        return kind
    if not names or names == ["all"]:
        return kind_of(Path(args.what)) or modality_of_set(args.what) or modality_of_set(args.against) or IMAGES
    kinds: dict[str, str] = {}
    for name in names:
        of = IMAGES if name in METRICS else modality_with(name)
        if of is None:
            raise unknown("metric", name, [*METRICS, *(n for m in MODALITIES.values() for n in m.metrics)])
        kinds.setdefault(of, name)
    if len(kinds) > 1:
        raise UsageError(
            "metrics of one call are of one kind, and "
            + " and ".join(f"'{name}' is of {kind}" for kind, name in kinds.items())
        )
    return next(iter(kinds))


def names_of(args: argparse.Namespace) -> list[str]:
    """The words of ``--metrics``; none where it is not given."""
    return [m.strip() for m in (args.metrics or "").split(",") if m.strip()]


def measure_files(args: argparse.Namespace, kind: str) -> Any:
    """The record of one file, or named set, against another."""
    from ornstein.cli.commands.train import settings as pairs_of
    from ornstein.cli.reading import require_known
    from ornstein.cli.reading_sets import default_split, modality_of_set
    from ornstein.evaluation.measure import measure
    from ornstein.evaluation.modalities import MODALITIES
    from ornstein.evaluation.sources import spread
    from ornstein.recipes.registry import make_config

    _refuse_options(args, kind)
    require_known(kind)
    modality = MODALITIES[kind]
    settings = make_config(modality.settings, dict(pairs_of(args.set)))
    names = names_of(args)
    if args.metrics is not None and not names:
        raise UsageError("--metrics names none")
    if names and names != ["all"]:
        modality.chosen(names)
    if args.n is not None and args.n < 1:
        raise UsageError(f"-n must be at least 1, got {args.n}")
    readers = [name for name, row in modality.metrics.items() if "train" in row.needs]
    if args.train is not None and not set(readers) & set(readers if names == ["all"] else names):
        raise UsageError(
            f"--train is read by {', '.join(readers)}, and none of these is asked for"
            if readers
            else f"no metric of {kind} reads --train; what they are measured against, novelty too, is what --against names"
        )
    split = args.split or default_split(args.against)
    samples, have = _side(kind, args.what, False, settings, "train", args.n)
    reference, there = _side(kind, args.against, True, settings, split or "", args.n)
    train = None if args.train is None else _side(kind, args.train, True, settings, "train", None)[0]
    # Sample i of a named set has nothing to do with sample i of another, or of a file of another length.
    named = [bool(modality_of_set(word)) for word in (args.what, args.against)]
    strangers = all(named) or (any(named) and have != there)
    asked = bool(names) and names != ["all"]
    if names == ["all"]:
        names = modality.applicable(samples, reference, train, settings)
    if strangers:
        of_pairs = [n for n in names or modality.default if "pairs" in modality.metrics[n].needs]
        usual = [n for n in names or modality.default if n not in of_pairs]
        every = modality.applicable(samples, reference, train, settings)
        names = usual or [n for n in every if "pairs" not in modality.metrics[n].needs]
        if of_pairs and (asked or not names):
            raise DataError(
                f"{', '.join(of_pairs)}: sample i is compared with reference i, and these are no pairs: {args.what} has {have} "
                f"and {args.against} {there}; give files of pairs, or other metrics"
            )
    if args.n is not None:
        if have != there and any("pairs" in modality.metrics[n].needs for n in names or modality.default):
            raise DataError(f"the files hold {have} and {there}, and metrics of pairs need as many")
        samples, reference = (x.take(spread(len(x), args.n)) for x in (samples, reference))
    with Progress(f"evaluating {args.what}") as bar:
        return measure(
            samples,
            reference,
            metrics=names or None,
            train=train,
            settings=settings,
            draws=args.draws,
            protocol={"reference_name": Path(args.against).name, **({"split": split} if split else {})},
            subject={"what": args.what},
            on_progress=bar.update,
        )


def _side(kind: str, word: str | Path, reference: bool, settings: Any, split: str, n: int | None) -> tuple[Any, int]:
    """What is measured or what it is measured against, and how many there are: of a named set ``n`` are read, of a file all."""
    from ornstein.cli.reading import read
    from ornstein.cli.reading_sets import modality_of_set, read_set

    if modality_of_set(word):
        return read_set(word, kind, split, n)
    found = read(kind, Path(word), reference, settings)
    return found, len(found)


def _refuse_options(args: argparse.Namespace, kind: str) -> None:
    """What is said of images and means nothing here must not be passed over in silence."""
    from ornstein.cli.reading_sets import modality_of_set

    given = {
        "--report": args.report is not None,
        "--save-reference": args.save_reference is not None,
        "--extractor": args.extractor != "auto" or args.extractor_hash is not None,
        "--split": args.split is not None and not modality_of_set(args.against),
        "--seeds": args.seeds != 1,
        "--k": args.k != 5,
        "--splits": args.splits != 1,
        "--factor": args.factor != 4,
        "--steps": args.steps is not None,
        "--sampler": args.sampler is not None,
        "--guidance": args.guidance is not None,
        "--grid": args.grid is not None,
    }
    if wrong := [name for name, is_given in given.items() if is_given]:
        raise UsageError(
            f"{', '.join(wrong)} belongs to images, and these are {kind}; fields of {kind} are set with --set"
        )
    if args.draws < 0 or args.draws == 1:
        raise UsageError(f"--draws must be 0 or at least 2, got {args.draws}")
