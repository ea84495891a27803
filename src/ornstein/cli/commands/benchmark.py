"""``ornstein benchmark``."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ornstein.cli.commands.sample import check
from ornstein.cli.evaluating import (
    Against,
    add_protocol,
    check_protocol,
    count_images,
    draws_of,
    open_against,
    open_pictures,
    open_system,
    over_seeds,
    require_classifier,
    to_device,
)
from ornstein.cli.output import Progress, emit, require_folder, say
from ornstein.core.errors import DataError, OrnsteinError, UsageError

EXAMPLES = """examples:
  ornstein benchmark fashion-mnist --against fashion-mnist --samplers ddim,dpmpp_2m,edm_heun --steps 5,10,20 -o bench
  ornstein benchmark runs/ddpm runs/edm runs/flow --against digits -n 2000 --seeds 3 -o bench
  ornstein benchmark a.json b.json -o table
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Which systems, samplers and step counts, on what."""
    parser.add_argument(
        "what", nargs="+", help="bundled models, runs, data (to see what real images reach), or records (.json)"
    )
    add_protocol(parser, required=False)
    parser.add_argument("--samplers", help="comma-separated (default: each recipe's own)")
    parser.add_argument("--steps", help="comma-separated (default: each recipe's own)")
    parser.add_argument("--grid", help="of all (default: each recipe's own)")
    parser.add_argument("--guidance", type=float, help="of all (default: each recipe's own)")
    parser.add_argument("--seed", type=int, default=0, help="sample i depends on seed + i only (default 0)")
    parser.add_argument("--batch", type=int, default=64, help="how many are drawn at once (default 64)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument("--fast", action="store_true", help="bf16 network calls: quicker, not equal to the last digit")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("benchmark"), help="folder for tables, plots and records"
    )


def run(args: argparse.Namespace) -> int:
    """Measure what is not measured yet, then write table.md, table.csv, table.json and a plot of each metric."""
    steps = _steps(args.steps)
    samplers = [s.strip() for s in args.samplers.split(",") if s.strip()] if args.samplers else [None]
    args.steps = None
    count_images(args)
    check(args)
    names = check_protocol(args)
    out = require_folder(args.out)
    from ornstein.evaluation.compare import Comparison

    records: dict[str, Any] = {}
    measured = [what for what in args.what if Path(what).suffix != ".json"]
    if measured and args.against is None:
        raise UsageError("--against names no reference")
    systems = {what: open_system(what) for what in measured}
    ways = {what: _ways(s, samplers, steps) for what, s in systems.items()}
    total = sum(map(len, ways.values()))
    done = 0
    with Progress(f"benchmark of {total}") as bar:
        for what in args.what:
            if what not in systems:
                records[_free(Path(what).stem, records)] = _read(what)
                continue
            system = systems[what]
            for sampler, count in ways[what]:
                tell = partial(_tell, bar, done, total, what)
                record = _one(args, names, what, system, sampler, count, out, tell)
                alone = system is None or system.one_shot
                shown = [what] if alone else [what, record.subject["sampler"], str(record.subject["steps"])]
                records[_free(" ".join(shown), records)] = record
                done += 1
    comparison = Comparison(records)
    for warning in dict.fromkeys(w for r in records.values() for w in r.warnings):
        say(f"warning: {warning}")
    files = _write(out, comparison)
    emit(args, comparison.rows(), "\n".join([comparison.markdown(), *map(str, files)]))
    return 0


def _ways(
    system: Any, samplers: Sequence[str | None], steps: Sequence[int | None]
) -> list[tuple[str | None, int | None]]:
    """Samplers and steps of a system's rows: one row where there is nothing to choose (data, GAN, VAE, flow)."""
    return [(None, None)] if system is None or system.one_shot else [(a, b) for a in samplers for b in steps]


def _tell(bar: Progress, done: int, total: int, what: str, fraction: float, text: str) -> None:
    bar.update((done + fraction) / total, f"{what}: {text}")


def _steps(text: str | None) -> list[int | None]:
    if text is None:
        return [None]
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError as e:
        raise UsageError(f"--steps are whole numbers separated by commas, got '{text}'") from e
    if min(found) < 1:
        raise UsageError(f"--steps must be at least 1, got {min(found)}")
    return list(found)


def _one(
    args: argparse.Namespace,
    names: list[str],
    what: str,
    system: Any,
    sampler: str | None,
    steps: int | None,
    out: Path,
    tell: Any,
) -> Any:
    """One row: its record, read if it was measured before under the same options, else measured and written."""
    from ornstein.evaluation.record import Record
    from ornstein.evaluation.sources import Chosen, spread

    given: Any = open_pictures(what) if system is None else None
    measured: Any = given if system is None else system
    channels, size, _ = given.shape if system is None else system.data_shape
    against: Against = open_against(args, names, size, channels)
    comparable = require_classifier(names, against.extractor, measured.classes, against.name)
    metrics = [*names, "label_agreement"] if comparable and "label_agreement" not in names else names
    if system is None:
        sources: list[Any] = [Chosen(given, spread(len(given), args.n))]
    else:
        to_device(args, system)
        seeds = [args.seed + i * args.n for i in range(args.seeds)]
        sources = [draws_of(args, system, seed, steps, sampler) for seed in seeds]
    key = [s.content_hash for s in sources] + metrics + [args.draws, args.k, args.splits, args.factor, args.fast]
    key += [against.reference.content_hash, against.extractor.hash, list(against.protocol.values())]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    stem = re.sub(r"\W+", "-", "-".join(filter(None, [Path(what).name, sampler, str(steps or "")]))).strip("-")
    file = out / "records" / f"{stem}-{digest}.json"
    if file.is_file():
        return Record.load(file)
    record = over_seeds(args, metrics, against, sources, {"what": what}, out / "parts", tell)
    record.save(file)
    for part in (out / "parts").glob("samples-*.safetensors"):
        part.unlink()  # those of the reference serve the next row
    return record


def _read(file: str) -> Any:
    from ornstein.evaluation.record import Record

    return Record.load(file)


def _free(name: str, taken: dict[str, Any]) -> str:
    """A name that no row has yet."""
    if name not in taken:
        return name
    return next(f"{name} ({i})" for i in range(2, len(taken) + 3) if f"{name} ({i})" not in taken)


def _write(out: Path, comparison: Any) -> list[Path]:
    """The tables, and a plot of each metric that some record has with a number of evaluations."""
    texts = {"table.md": comparison.markdown(), "table.csv": comparison.csv(), "table.json": comparison.json()}
    for metric in comparison.metrics:
        try:
            texts[f"{metric}.svg"] = comparison.plot(metric)
        except DataError:
            continue  # data sets alone have no evaluations
    try:
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
        for part in (out / "parts").glob("*.safetensors"):
            part.unlink()
        if (out / "parts").is_dir():
            (out / "parts").rmdir()
    except OSError as e:
        raise OrnsteinError(f"cannot write to {out}: {e}; choose another --out") from e
    return [out / name for name in texts]
