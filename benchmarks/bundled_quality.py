"""A bundled model against its targets, in the features of a classifier that never saw a sample.

    python benchmarks/bundled_quality.py [--model fashion-mnist] [-n 10000] [--threads 2] [--sampler dpmpp_2m] [--steps 18]
        [--guidance 1.0] [--record]

``--record`` writes the rows beside the weights too, where the ledger finds them.

Beside the model stands what real images reach: as many random training images as samples, against the test images. A model
that reads captions is asked by those of the test images, which it was not trained on, and by nothing else;
``label_agreement`` is then the share of samples that the classifier finds in the category of their caption. The classifier's
own share of right categories on the test images stands beside it: what it does not recognise, no model can draw for it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from csv_rows import write_rows
from torch import Tensor

import ornstein
from ornstein.data import Images, open_data
from ornstein.evaluation import evaluate
from ornstein.evaluation.features import ClassifierFeatures
from ornstein.recipes.bundled import QUALITY, WEIGHTS
from ornstein.samplers import get

METRICS = ("fd", "prdc", "label_agreement")
COUNT = {"fashion-mnist": 10_000, "emoji": 1592}
"""Samples by default: those of the tables, and eight for each held-out caption."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fashion-mnist", help="a bundled model, or a run with --data")
    parser.add_argument("--data", help="what the model was trained on (default: the data of the model's name)")
    parser.add_argument("-n", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sampler", default="dpmpp_2m")
    parser.add_argument("--grid", default="karras")
    parser.add_argument("--steps", type=int, default=18)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--fast", action="store_true", help="bf16 network calls")
    parser.add_argument("--baseline", action="store_true", help="measure the training images only")
    parser.add_argument("--record", action="store_true", help="write quality.json beside the bundled weights")
    parser.add_argument("--out", type=Path, help="default benchmarks/results/bundled_quality[_MODEL].csv")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = args.data or args.model
    count = args.n or COUNT.get(data, 1000)
    system = None if args.baseline else ornstein.load(args.model).to(args.device)
    size = None if system is None else system.shape[-1]
    train, test = open_data(data, size=size), open_data(data, size=size, split="test")
    extractor = ClassifierFeatures(data)
    reference = torch.from_numpy(test.x.copy())

    def scores(x: Tensor, labels: Tensor) -> dict[str, float]:
        return evaluate(x, reference, metrics=METRICS, extractor=extractor, labels=labels, draws=0).values

    index = np.random.default_rng(0).permutation(len(train))[:count]
    real = scores(torch.from_numpy(train.x[index].copy()), labels_of(train)[index])
    rows: list[dict[str, object]] = [{"what": "random training images", "n": len(index), **_rounded(real)}]
    print(rows[-1], flush=True)
    for scale in [] if system is None else args.guidance:
        if args.fast:
            system.fast()
        options = {"steps": args.steps, "sampler": args.sampler, "grid": args.grid, "guidance": scale, "batch": 250}
        begin = time.monotonic()
        x, labels = drawn(system, test, count, options)
        seconds = time.monotonic() - begin
        # edm_heun's last step is one evaluation.
        calls = args.steps * get(args.sampler).kind.evaluations - (1 if get(args.sampler).kind.evaluations == 2 else 0)
        calls *= 1 if scale == 1 else 2  # guidance asks with and without the condition
        found = scores(x, labels)
        rows.append(
            {
                "what": f"samples, {args.sampler}, {args.grid}, guidance {scale:g}{', bf16' if args.fast else ''}",
                "n": len(x),
                **_rounded(found),
                "fd_over_training_images": round(found["fd"] / real["fd"], 3),
                "evaluations": calls,
                "seconds": round(seconds),
                "images_seen_in_training": system.weights.get("seen", ""),
            }
        )
        print(rows[-1], flush=True)
    if data != "fashion-mnist":  # its rows are in the ledger as they are
        right = extractor(reference).logits
        assert right is not None
        share = float((right.argmax(1) == labels_of(test)).double().mean())
        rows.insert(1, {"what": "the test images themselves", "n": len(test), "label_agreement": round(share, 4)})
        print(rows[1], flush=True)
    name = "bundled_quality.csv" if data == "fashion-mnist" else f"bundled_quality_{data}.csv"
    out = args.out or Path("benchmarks/results") / name
    write_rows(out, rows)
    if args.record:
        record(args.model, rows)


def labels_of(images: Images) -> Tensor:
    """``[N]``."""
    assert images.labels is not None
    return torch.from_numpy(np.array(images.labels))


def drawn(system: Any, test: Images, count: int, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """``count`` samples, and the class that each was asked for: in turn, or that of a held-out caption."""
    if system.captions is None:
        samples = system.sample(count, seed=0, **options)
        return samples.bytes, samples.cond["label"]
    assert test.captions is not None
    rows = [i % len(test) for i in range(count)]
    captions = [test.captions[i] for i in rows]
    known = set(system.captions.texts) & set(captions)
    if len(known) < len(set(captions)):
        # A run knows its training captions; the vectors of the others are the encoder's.
        system.captions = system.captions.extended(captions)
    return system.sample(count, seed=0, prompt=captions, **options).bytes, labels_of(test)[rows]


def record(model: str, rows: list[dict[str, object]]) -> None:
    """The rows as part of the ledger, bound to the weights by their hash."""
    folder = WEIGHTS / model
    digest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]["model.safetensors"]["sha256"]
    (folder / QUALITY).write_text(json.dumps({"sha256": digest, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {k: round(v, 4) for k, v in values.items()}


if __name__ == "__main__":
    main()
