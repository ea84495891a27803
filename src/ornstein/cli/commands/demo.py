"""``ornstein demo``: what ``make demo`` runs."""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path
from typing import Any

from ornstein.cli.commands.train import strip
from ornstein.cli.output import Progress, emit, red, require_folder, say
from ornstein.core.errors import CheckpointError, UsageError

EXAMPLES = "examples:\n  ornstein demo\n  ornstein demo --minutes 5 --out demo --again\n"

TRAINING = {
    "widths": "32,64",
    "blocks": "1",
    "batch": "64",
    "lr": "1e-2",
    "decay_steps": "400",
    "warmup": "50",
    "ema_half_life": "10000",
}
"""A model that draws digits after two minutes on two cores."""


def add(parser: argparse.ArgumentParser) -> None:
    """Where to, how long to train."""
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder for everything that is made (default demo)"
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="of training (default 2)")
    parser.add_argument("--again", action="store_true", help="do the finished parts anew")


MEASURED = 1000
"""Samples that are drawn to be measured; as many as there are test digits."""

SHOWN = 100
"""Of them, in the picture."""

NEIGHBOURS = 4000
"""Training digits among which the nearest is sought: copies would lie at no distance."""

MADE = ("fashion-mnist.png", "training.json", "digits.png", "scores.json", "report.html")
"""Files of the demo in its folder, beside ``run/``: what --again removes."""


def run(args: argparse.Namespace) -> int:
    """Four parts, each passed over when its result is there already."""
    if not 0 < args.minutes < math.inf:
        raise UsageError(f"--minutes must be positive, got {args.minutes:g}")
    out = require_folder(args.out)
    if args.again:
        _forget(out)
    missing = None
    grid: Path | None = None
    try:
        grid = _bundled(out)
    except CheckpointError as e:
        missing = str(e)
        say(f"(a) {red('error:')} {missing}")
    record = _train(out, args.minutes)
    scores = _measure(out)
    report = _report(out, grid, record, scores)
    pictures = [str(p) for p in (grid, out / "digits.png") if p is not None]
    run_folder = out / "run"
    lines = [
        "",
        *(f"{'pictures' if i == 0 else '':<12}{p}" for i, p in enumerate(pictures)),
        f"run folder  {run_folder}",
        f"report      {report}",
        "",
        "next:",
        "  ornstein sample fashion-mnist -n 64 --label sneaker --steps 12 -o sneakers",
        f"  ornstein train edm --data digits --minutes {2 * args.minutes:g} --out {run_folder} --resume",
        "  ornstein train edm --data YOUR/PICTURES --size 32 --minutes 5 --out runs/mine",
        "  ornstein list",
    ]
    about = {"pictures": pictures, "run": str(run_folder), "report": str(report), "scores": scores, "missing": missing}
    emit(args, about, "\n".join(lines))
    return 0 if missing is None else 1


def _forget(out: Path) -> None:
    """Remove what an earlier demo made, and nothing else that may lie in the folder."""
    for name in MADE:
        (out / name).unlink(missing_ok=True)
    if (out / "run" / "config.json").is_file():
        shutil.rmtree(out / "run")


def _bundled(out: Path) -> Path:
    """(a) 10 x 10 samples of the bundled model, a row for each class, its name beside it."""
    path = out / "fashion-mnist.png"
    if path.exists():
        say(f"(a) {path} is there already")
        return path
    from ornstein.recipes import saved
    from ornstein.recipes.samples import labelled_grid, png_info

    if "fashion-mnist" not in saved.bundled_models():
        raise CheckpointError(
            f"the weights of the bundled model are missing: no model in {saved.WEIGHTS / 'fashion-mnist'}. "
            "Restore that folder from the repository; the rest of the demo goes on without it"
        )
    system = saved.load("fashion-mnist")
    with Progress("(a) sampling the bundled model", every=15) as bar:
        samples = system.sample(
            10 * len(system.classes),
            seed=0,
            batch=100,
            label=[name for name in system.classes for _ in range(10)],
            on_step=lambda s: bar.update((s.index + 1) / s.total, f"step {s.index + 1}"),
        )
    labelled_grid(samples.bytes, list(system.classes), columns=10, zoom=2).save(
        path, pnginfo=png_info(samples.provenance | {"seeds": [samples.seeds[0], samples.seeds[-1]]})
    )
    say(f"(a) {len(samples)} samples of the bundled model: {path}")
    return path


def _train(out: Path, minutes: float) -> dict[str, Any]:
    """(b) a small model from scratch on the embedded digits."""
    from ornstein.recipes import house

    run, done = out / "run", out / "training.json"
    if done.exists():
        say(f"(b) {run} is there already")
        return dict(json.loads(done.read_text()))
    existing = (run / "checkpoints").is_dir() and any((run / "checkpoints").iterdir())
    with Progress(f"(b) training on digits for {minutes:g} minutes", every=15) as bar:
        system, result = house.train(
            "edm",
            data="digits",
            out=run,
            settings=TRAINING,
            minutes=minutes,
            resume=existing,
            save_seconds=30,
            on_step=lambda p: bar.update(p.fraction, f"loss {p.loss:.3f}, {p.images_per_second:.0f} images/s"),
            on_save=lambda system, step: strip(system, run / "samples" / f"step-{step:07d}.png"),
        )
    if result.reason not in ("steps", "minutes"):
        say(f"(b) stopped at step {result.step} and saved; the same command goes on from there")
        raise KeyboardInterrupt
    record = {
        "steps": result.step,
        "images": result.seen,
        "seconds": round(result.seconds),
        "parameters": system.parameters(),
    }
    done.write_text(json.dumps(record))
    say(f"(b) {result.step} steps, {result.seen} images, {system.parameters():,} parameters: {run}")
    return record


def _measure(out: Path) -> dict[str, Any]:
    """(c) samples of the trained model, measured beside two references: real training digits and noise."""
    done = out / "scores.json"
    if done.exists():
        say(f"(c) {done} is there already")
        return dict(json.loads(done.read_text()))
    import torch

    from ornstein.data import open_data
    from ornstein.evaluation import evaluate
    from ornstein.evaluation.features import ClassifierFeatures
    from ornstein.recipes.samples import image_grid, png_info
    from ornstein.recipes.saved import load

    system = load(out / "run")
    n = MEASURED
    with Progress("(c) sampling the trained model") as bar:
        samples = system.sample(
            n, seed=0, steps=12, sampler="dpmpp_2m", batch=250, on_step=lambda s: bar.update((s.index + 1) / s.total)
        )
    shown = {**samples.provenance, "seeds": [samples.seeds[0], samples.seeds[:SHOWN][-1]]}
    image_grid(samples.bytes[:SHOWN], columns=10, zoom=2).save(out / "digits.png", pnginfo=png_info(shown))
    train, test = open_data("digits"), open_data("digits", split="test")
    reference = torch.from_numpy(test.x.copy())
    extractor = ClassifierFeatures("digits")
    metrics = ("fd", "kid", "prdc", "label_agreement", "memorisation")
    base = torch.from_numpy(train.x[n : n + NEIGHBOURS].copy())
    mine = evaluate(
        samples.bytes,
        reference,
        metrics=metrics,
        extractor=extractor,
        labels=samples.cond["label"],
        train=base,
        subject=samples.provenance,
        draws=0,
    )
    first = train[:n]
    real = evaluate(
        first.x, reference, metrics=metrics, extractor=extractor, labels=first.cond["label"], train=base, draws=0
    )
    noise = torch.randint(
        0, 256, (n, *samples.bytes.shape[1:]), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    worst = evaluate(noise, reference, metrics=("fd", "kid", "prdc"), extractor=extractor, draws=0)
    scores = {
        "model": mine.values,
        "real digits": real.values,
        "noise": worst.values,
        "protocol": mine.protocol | mine.subject,
    }
    done.write_text(json.dumps(scores, indent=1))
    say(
        f"(c) {n} samples: Frechet distance {mine.values['fd']:.2f} (real digits {real.values['fd']:.2f}, "
        f"noise {worst.values['fd']:.0f}), right label {mine.values['label_agreement']:.1%}"
    )
    return scores


def _report(out: Path, grid: Path | None, record: dict[str, Any], scores: dict[str, Any]) -> Path:
    """(d) one page."""
    from PIL import Image

    from ornstein.evaluation.registry import PREFERS
    from ornstein.evaluation.report import Curve, Picture, Section, Table, Text, html_report, provenance_table

    records = [json.loads(line) for line in (out / "run" / "metrics.jsonl").read_text().splitlines()]
    columns = ("model", "real digits", "noise")
    names = list(scores["model"])
    rows = [(k, *(f"{scores[c][k]:.4g}" if k in scores[c] else "" for c in columns), PREFERS.get(k, "")) for k in names]
    strips = sorted((out / "run" / "samples").glob("step-*.png"))
    shown = strips[:: max(len(strips) // 4, 1)][:5]
    caption = "Fashion-MNIST, ten samples of each class, seeds 0 to 99"
    bundled = [] if grid is None else [Section("The bundled model", [Picture(caption, Image.open(grid))])]
    protocol = {k: v for k, v in scores["protocol"].items() if k not in ("config", "weights")}
    return html_report(
        out / "report.html",
        title="Ornstein: a first run",
        lead=f"{record['parameters']:,} parameters, {record['images']:,} images seen in {record['seconds']} seconds of training.",
        sections=[
            *bundled,
            Section(
                "A model trained from scratch on this machine",
                [
                    Picture("Handwritten digits, classes in turn, seeds 0 to 99", Image.open(out / "digits.png")),
                    *(Picture(f"the same seeds after {int(p.stem[5:]):,} steps", Image.open(p)) for p in shown),
                    Curve("Training loss", [(r["step"], r["loss"]) for r in records]),
                ],
            ),
            Section(
                "Measured",
                [
                    Text(
                        "Distances are taken in the penultimate layer of a classifier of digits that never saw a sample. "
                        "Real training digits show what is possible at this number of samples, noise what is easy."
                    ),
                    Table("against 1,000 test digits", ("metric", *columns, "better"), rows),
                    provenance_table(protocol, "Protocol"),
                ],
            ),
        ],
    )
