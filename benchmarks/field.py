"""Seven systems of about equal size, trained for equal processor time, at several samplers and step counts: the whole field.

    python benchmarks/field.py --data fashion-mnist --seconds 50 [-n 1000] [--out runs/field] [--docs docs]

Four diffusion systems (a noising chain, EDM, flow matching, a consistency model) beside a GAN, a VAE and a normalising flow, all
unconditional. Each is timed over a few steps first and then trained for as many steps as fit into ``--seconds`` of
processor time, so that what else the machine does counts little. Finished runs and measured rows are kept and read again.
With ``--docs`` the table, the plot of the Frechet distance and a picture of samples go into the documentation.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from pages import show_table

import ornstein
from ornstein.data import Loader, open_data
from ornstein.evaluation import evaluate
from ornstein.evaluation.compare import Comparison
from ornstein.evaluation.features import ClassifierFeatures
from ornstein.evaluation.record import Record
from ornstein.evaluation.sources import Chosen, spread
from ornstein.recipes.drawn import Drawn
from ornstein.recipes.samples import image_grid
from ornstein.training.fit import Engine, fit

UNET: dict[str, Any] = {
    "widths": (28, 56),
    "batch": 32,
    "classes": (),
    "ema_half_life": 10_000,
    "decay_steps": 500,
}
BASELINE: dict[str, Any] = {"batch": 32, "ema_half_life": 10_000}
SYSTEMS: dict[str, dict[str, Any]] = {
    "ddpm": UNET,
    "edm": UNET,
    "flow-matching": UNET,
    "consistency-models": UNET,
    "baseline-gan": BASELINE | {"widths": (64, 128)},
    "baseline-vae": BASELINE | {"widths": (48, 80)},
    "baseline-flow": BASELINE | {"width": 144},
}
WAYS: dict[str, list[tuple[str | None, int | None]]] = {
    "ddpm": [(s, n) for s in ("ddim", "dpmpp_2m") for n in (5, 10, 20)],
    "edm": [("edm_heun", 3), ("edm_heun", 5), ("edm_heun", 10)],
    "flow-matching": [("euler", 5), ("euler", 10), ("euler", 20), ("heun", 5)],
    "consistency-models": [(None, 1), (None, 2), (None, 4)],
}
METRICS = ("fd", "kid", "prdc")
TIMED = 12


def seconds_a_step(name: str, settings: dict[str, Any], images: Any) -> float:
    """Processor time of one training step, without the first few."""
    system = ornstein.build(name, data=images, settings=settings | {"steps": TIMED})
    marks: list[float] = []
    engine = Engine(on_step=lambda progress: marks.append(time.process_time()))
    fit(system.modules, system.stages(Loader(images, settings["batch"], 0)), engine)
    return (marks[-1] - marks[TIMED // 3 - 1]) / (TIMED - TIMED // 3)


def trained(name: str, settings: dict[str, Any], images: Any, seconds: float, out: Path) -> tuple[Any, dict[str, Any]]:
    """The run, read if it is there; and what it cost."""
    note = out / f"{name}.json"
    if not note.is_file():
        steps = max(1, round(seconds / seconds_a_step(name, settings, images)))
        begin = time.process_time()
        system, result = ornstein.train(name, data=images, out=out / name, settings=settings, steps=steps)
        if result.reason != "steps":  # a signal: what was reached is saved, and the comparison is over
            raise SystemExit(f"{name} was stopped by {result.reason}")
        about = {"steps": steps, "seconds": round(time.process_time() - begin, 1), "parameters": system.parameters()}
        note.write_text(json.dumps(about) + "\n", encoding="utf-8")
    return ornstein.load(out / name), json.loads(note.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", help="fashion-mnist or digits: a bundled classifier judges")
    parser.add_argument("--seconds", type=float, default=50)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/field"))
    parser.add_argument("--docs", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    out = args.out / args.data
    out.mkdir(parents=True, exist_ok=True)
    images, test = open_data(args.data), open_data(args.data, split="test")
    extractor = ClassifierFeatures(args.data)
    reference = Chosen(test, spread(len(test), args.n))
    protocol = {"reference_name": test.name, "split": "test", "reference_resize": "as stored"}
    records: dict[str, Record] = {}
    costs: dict[str, dict[str, Any]] = {}
    shown = []

    def measured(row: str, source: Any, about: dict[str, Any]) -> Record:
        file = out / f"record-{row.replace(' ', '-')}.json"
        if not file.is_file():
            record = evaluate(source, reference, metrics=METRICS, extractor=extractor, protocol=protocol, subject=about)
            if isinstance(source, Drawn):
                record.subject["evaluations"] = source.evaluations
            record.save(file)
            print(row, {k: round(v, 3) for k, v in record.values.items()}, flush=True)
        return Record.load(file)

    records["training images"] = measured("training images", Chosen(images, spread(len(images), args.n)), {})
    for name, settings in SYSTEMS.items():
        system, costs[name] = trained(name, settings, images, args.seconds, out)
        print(name, costs[name], flush=True)
        for sampler, steps in WAYS.get(name, [(None, None)]):
            drawn = Drawn(system, args.n, sampler=sampler, steps=steps)
            made = drawn.provenance
            row = name if system.one_shot else f"{name} {made['sampler']} {made['steps']}"
            records[row] = measured(row, drawn, {"what": name, **made})
        shown.append(Drawn(system, 12, sampler=sampler, steps=steps)[0:12].x)
    comparison = Comparison(records)
    table = comparison.markdown() + "\n| system | parameters | training steps | seconds |\n| --- | --- | --- | --- |\n"
    table += "".join(f"| {k} | {v['parameters']:,} | {v['steps']} | {v['seconds']:.0f} |\n" for k, v in costs.items())
    picture = image_grid(torch.cat(shown), 12, 2, 2)
    (out / "table.md").write_text(table, encoding="utf-8")
    (out / "fd.svg").write_text(comparison.plot("fd"), encoding="utf-8")
    picture.save(out / "samples.png")
    if args.docs is not None:
        pictures = args.docs / "pictures" / "benchmark"
        pictures.mkdir(parents=True, exist_ok=True)
        (pictures / f"{args.data}-fd.svg").write_text(comparison.plot("fd"), encoding="utf-8")
        picture.quantize(32).save(pictures / f"{args.data}.png", optimize=True)
        show_table(args.docs / "benchmark.md", args.data, table)
    print(table)


if __name__ == "__main__":
    main()
