"""What ``evaluate`` and ``benchmark`` share: words of the command line made into images, extractors and references."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ornstein.cli.output import say
from ornstein.core.errors import CheckpointError, DataError, UsageError, suggest

IMAGES = 1000
"""On either side, where ``-n`` is not given."""

GRID = "grid.png"
"""What ``ornstein sample`` writes beside the samples."""


def add_protocol(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Options that are part of how something is measured; ``required``: whether ``--against`` is."""
    parser.add_argument("--against", required=required, help="a named set, a folder, a file, or a saved reference")
    parser.add_argument("--split", help="of the reference: train or test (default: test of a named set, else train)")
    parser.add_argument("--metrics", help="comma-separated, or all that apply: all (default for images: fd,kid,prdc)")
    parser.add_argument("-n", type=int, help="how many on either side (default: 1000 images, all of anything else)")
    parser.add_argument("--seeds", type=int, default=1, help="draw so many times n samples of other seeds, and average")
    parser.add_argument(
        "--extractor",
        default="auto",
        help="pixels, digits, fashion-mnist, efficientnet, or inception=FILE, dinov2=FILE, clip=FILE, efficientnet=FILE "
        "(default: what fits the reference)",
    )
    parser.add_argument("--extractor-hash", help="the SHA-256 that the extractor's file must have")
    parser.add_argument("--draws", type=int, default=20, help="half-samples for the intervals, 0 for none (default 20)")
    parser.add_argument("--k", type=int, default=5, help="neighbours of prdc (default 5)")
    parser.add_argument("--splits", type=int, default=1, help="of classifier_score; papers use 10 (default 1)")
    parser.add_argument("--factor", type=int, default=4, help="reduction of lr_consistency (default 4)")


def count_images(args: argparse.Namespace) -> None:
    """How many images are measured where nobody says; :func:`no_more_than` may lower it."""
    args.counted = args.n is None
    if args.counted:
        args.n = IMAGES


def no_more_than(args: argparse.Namespace, reference: int) -> None:
    """Draw as many samples as a small reference has, unless ``-n`` asks for a number: more would cost and tell nothing."""
    if args.counted and reference < args.n:
        args.n = reference
        say(f"drawing {reference} samples, as many as the reference has; -n asks for another number")


def check_protocol(args: argparse.Namespace) -> list[str]:
    """Refuse impossible options before anything is loaded; the metrics that are asked for."""
    from ornstein.evaluation.registry import DEFAULT, METRICS, chosen

    if args.seeds < 1:
        raise UsageError(f"--seeds must be at least 1, got {args.seeds}")
    if args.draws < 0 or args.draws == 1:
        raise UsageError(f"--draws must be 0 or at least 2, got {args.draws}")
    if args.k < 1:
        raise UsageError(f"--k must be at least 1, got {args.k}")
    if args.metrics is None:
        return list(DEFAULT)
    names = [m.strip() for m in args.metrics.split(",") if m.strip()]
    if not names:
        raise UsageError("--metrics names none")
    if names == ["all"]:
        return [m.name for m in METRICS.values() if not m.needs & {"pairs", "inception", "labels", "logits", "train"}]
    return [m.name for m in chosen(names)]


def open_system(what: str) -> Any:
    """The system that ``what`` names, or None if it is data."""
    from ornstein.data import SOURCES
    from ornstein.interop.load import load
    from ornstein.recipes.saved import bundled_models
    from ornstein.training.checkpoint import PICKLES

    path = Path(what)
    if what not in bundled_models() and not path.exists():
        known = {*bundled_models(), *SOURCES}
        if what in SOURCES:
            return None
        raise UsageError(f"'{what}' is no bundled model, no data set and no path here: {suggest(what, known)}")
    a_system = any(
        (path / name).exists() for name in ("checkpoints", "manifest.json", "config.json", "model_index.json")
    )
    is_weights = path.is_file() and (path.suffix in PICKLES or path.suffix == ".safetensors")
    return load(what) if what in bundled_models() or a_system or is_weights else None


def open_pictures(what: str) -> Any:
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


@contextmanager
def processes() -> Iterator[bool]:
    """Joins the others under torchrun, which share the images; whether this is the one that writes and prints."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield True
        return
    from torch import distributed

    distributed.init_process_group("gloo")  # what is gathered are rows of numbers, on the CPU
    try:
        yield distributed.get_rank() == 0
    finally:
        distributed.destroy_process_group()


@dataclass(frozen=True)
class Against:
    """What is compared with, and in which features. ``images``: None for a saved reference; ``train`` where needed."""

    reference: Any
    images: Any
    train: Any
    name: str
    split: str
    resize: str
    extractor: Any

    @property
    def protocol(self) -> dict[str, Any]:
        """What a record says of it beside what it measures itself."""
        return {"reference_name": self.name, "split": self.split, "reference_resize": self.resize}

    @property
    def among(self) -> tuple[Any, str]:
        """The images among which neighbours are sought for a page, and what they are."""
        return (self.train, "training images") if self.train is not None else (self.images, "reference images")


def open_against(args: argparse.Namespace, names: list[str], size: int, channels: int) -> Against:
    """The reference at the samples' size and channels."""
    from ornstein.evaluation.reference import Reference
    from ornstein.evaluation.registry import METRICS
    from ornstein.evaluation.sources import Chosen, spread

    wants_train = any("train" in METRICS[n].needs for n in names)
    if Path(args.against).suffix == ".safetensors":
        saved = Reference.load(args.against)
        if wants_train:
            raise UsageError("memorisation and authenticity need the training images, and a saved reference has none")
        extractor = open_extractor(args.extractor, saved.name, channels, args.extractor_hash)
        return Against(saved, None, None, saved.name, saved.split, "as saved", extractor)
    images, split, resize = open_reference(args.against, args.split, size, channels)
    extractor = open_extractor(args.extractor, images.name, channels, args.extractor_hash)
    train = open_train(args.against, split, size, channels) if wants_train else None
    return Against(Chosen(images, spread(len(images), args.n)), images, train, images.name, split, resize, extractor)


def open_reference(against: str, split: str | None, size: int, channels: int) -> tuple[Any, str, str]:
    """The reference's images at the samples' size, their split, and how they were brought to that size."""
    from ornstein.data import SOURCES, open_data

    split = split or ("test" if against in SOURCES else "train")
    images = open_data(against, size=size, channels=channels, split=split)
    if Path(against).is_dir() and against not in SOURCES:
        return images, split, f"centre crop, Lanczos down and bicubic up to {size}x{size}"
    stored = open_data(against, split=split).shape[1:]
    if stored == (size, size):
        return images, split, "as stored"
    padded = against in SOURCES and SOURCES[against].padded and max(stored) < size <= 1.25 * max(stored)
    how = "black border" if padded else "centre crop, Lanczos or bicubic"
    return images, split, f"{how} to {size}x{size}"


def open_train(against: str, split: str, size: int, channels: int) -> Any:
    """The training images, for distances to the nearest of them."""
    from ornstein.data import open_data

    if split == "train":
        raise UsageError(
            "memorisation and authenticity compare with the training images and need others as the reference: give "
            "--split test, of data that has one"
        )
    return open_data(against, size=size, channels=channels)


def draws_of(args: argparse.Namespace, system: Any, seed: int, steps: int | None, sampler: str | None) -> Any:
    """``args.n`` samples of a system under the options of the command."""
    from ornstein.recipes.drawn import Drawn

    return Drawn(
        system,
        args.n,
        seed=seed,
        steps=steps,
        sampler=sampler,
        grid=args.grid,
        guidance=args.guidance,
        batch=args.batch,
    )


def to_device(args: argparse.Namespace, system: Any) -> Any:
    """The system where, and as precisely as, it is to be computed."""
    from ornstein.cli.device import require_device

    system.to(require_device(args.device))
    return system.fast() if args.fast else system


def over_seeds(
    args: argparse.Namespace,
    names: list[str],
    against: Against,
    sources: Sequence[Any],
    subject: dict[str, Any],
    work: Path,
    tell: Callable[[float, str], None],
) -> Any:
    """One record of several sets of samples: those of each seed."""
    from ornstein.evaluation import evaluate
    from ornstein.evaluation.record import merge
    from ornstein.evaluation.settings import Settings
    from ornstein.recipes.drawn import Drawn

    records = []
    for i, source in enumerate(sources):
        drawn = isinstance(source, Drawn)
        record = evaluate(
            source,
            against.reference,
            metrics=names,
            extractor=against.extractor,
            train=against.train,
            settings=Settings(k=args.k, splits=args.splits, factor=args.factor),
            draws=args.draws,
            protocol=against.protocol,
            subject=subject | (source.provenance if drawn else {}),
            work=work,
            on_progress=lambda fraction, text, i=i: tell((i + fraction) / len(sources), text),  # type: ignore[misc]
        )
        if drawn:
            record.subject["evaluations"] = source.evaluations
            record.subject["seeds"] = [args.seed, args.seed + len(sources) * args.n - 1]
        records.append(record)
    return merge(records)


def open_extractor(word: str, data: str, channels: int, wanted_hash: str | None) -> Any:
    """``auto``, a name, or ``name=FILE``."""
    from ornstein.evaluation.features import (
        ClassifierFeatures,
        EfficientNetFeatures,
        PixelFeatures,
        extractor_for,
        extractor_from_file,
    )

    name, _, file = word.partition("=")
    if file:
        return extractor_from_file(name, file, wanted_hash)
    if name == "auto":
        extractor = extractor_for(data, channels)
    elif name == "pixels":
        extractor = PixelFeatures(channels)
    elif name == "efficientnet":
        extractor = EfficientNetFeatures()
    elif name in ("inception", "dinov2", "clip"):
        raise UsageError(f"--extractor {name} needs its weights: {name}=FILE")
    else:
        extractor = ClassifierFeatures(name)
    if wanted_hash is not None and wanted_hash.lower() != extractor.hash:
        raise CheckpointError(f"the extractor {extractor.name} has hash {extractor.hash}, not {wanted_hash}")
    return extractor


def require_classifier(names: list[str], extractor: Any, classes: tuple[str, ...], data: str) -> bool:
    """Whether the extractor knows the samples' classes; refused where a metric needs that and it does not."""
    comparable = bool(extractor.classes) and tuple(extractor.classes) == tuple(classes)
    if "label_agreement" in names and not comparable:
        raise DataError(f"label_agreement needs a classifier of the samples' classes; none is bundled for '{data}'")
    if "groups" in names and not extractor.classes:
        raise DataError(f"groups needs an extractor that classifies, and {extractor.name} does not")
    if "classifier_score" in names and not (extractor.classes or extractor.original_inception):
        raise DataError(f"classifier_score needs an extractor that classifies, and {extractor.name} does not")
    return comparable
