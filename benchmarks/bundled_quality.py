"""The bundled Fashion-MNIST model against its targets, in the features of a classifier that never saw a sample.

    python benchmarks/bundled_quality.py [-n 10000] [--threads 2] [--sampler dpmpp_2m] [--steps 18] [--guidance 1.0] [--record]

``--record`` writes the rows beside the weights too, where the ledger finds them.

Beside the model stands what real images reach: as many random training images as samples, against the 10,000 test images.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import torch

import ornstein
from ornstein.data import open_data
from ornstein.evaluation import evaluate
from ornstein.evaluation.features import ClassifierFeatures
from ornstein.recipes.bundled import QUALITY, WEIGHTS
from ornstein.samplers import get

METRICS = ("fd", "prdc", "label_agreement")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fashion-mnist")
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sampler", default="dpmpp_2m")
    parser.add_argument("--grid", default="karras")
    parser.add_argument("--steps", type=int, default=18)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0])
    parser.add_argument("--fast", action="store_true", help="bf16 network calls")
    parser.add_argument("--baseline", action="store_true", help="measure the training images only")
    parser.add_argument("--record", action="store_true", help="write quality.json beside the bundled weights")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/bundled_quality.csv"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train, test = open_data("fashion-mnist"), open_data("fashion-mnist", split="test")
    extractor = ClassifierFeatures("fashion-mnist")
    reference = torch.from_numpy(test.x.copy())
    index = np.random.default_rng(0).permutation(len(train))[: args.n]
    assert train.labels is not None
    real = evaluate(
        torch.from_numpy(train.x[index].copy()),
        reference,
        metrics=METRICS,
        extractor=extractor,
        labels=torch.from_numpy(train.labels[index].copy()),
        draws=0,
    )
    rows: list[dict[str, object]] = [{"what": "random training images", "n": args.n, **_rounded(real.values)}]
    print(rows[-1], flush=True)
    for scale in [] if args.baseline else args.guidance:
        system = ornstein.load(args.model)
        if args.fast:
            system.fast()
        begin = time.monotonic()
        samples = system.sample(
            args.n, steps=args.steps, sampler=args.sampler, grid=args.grid, guidance=scale, batch=250, seed=0
        )
        seconds = time.monotonic() - begin
        # edm_heun's last step is one evaluation.
        calls = args.steps * get(args.sampler).kind.evaluations - (1 if get(args.sampler).kind.evaluations == 2 else 0)
        calls *= 1 if scale == 1 else 2  # guidance asks with and without the label
        scores = evaluate(
            samples.bytes, reference, metrics=METRICS, extractor=extractor, labels=samples.cond["label"], draws=0
        ).values
        rows.append(
            {
                "what": f"samples, {args.sampler}, {args.grid}, guidance {scale:g}{', bf16' if args.fast else ''}",
                "n": args.n,
                **_rounded(scores),
                "fd_over_training_images": round(scores["fd"] / real.values["fd"], 3),
                "evaluations": calls,
                "seconds": round(seconds),
                "images_seen_in_training": system.weights.get("seen", ""),
            }
        )
        print(rows[-1], flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("w", newline="") as f:
        writer = csv.DictWriter(f, list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)
    if args.record:
        record(args.model, rows)


def record(model: str, rows: list[dict[str, object]]) -> None:
    """The rows as part of the ledger, bound to the weights by their hash."""
    folder = WEIGHTS / model
    digest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]["model.safetensors"]["sha256"]
    (folder / QUALITY).write_text(json.dumps({"sha256": digest, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {k: round(v, 4) for k, v in values.items()}


if __name__ == "__main__":
    main()
