"""Train the aligner of emoji and their names: linear maps of EfficientNet-Lite0 and MiniLM features to one space.

    python benchmarks/train_aligner.py --out src/ornstein/evaluation/features/weights/emoji-aligner

Both networks are frozen; what is learned are two matrices, by the symmetric contrastive loss of CLIP (Radford et al. 2021,
2103.00020). Writes OUT.safetensors (float16) and OUT.json (command, seed, retrieval on the test split, SHA-256). The test split
is used once, to report.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from ornstein.data import open_data
from ornstein.evaluation.features import EfficientNetFeatures
from ornstein.recipes.captions import minilm

SIDE = 128
"""Of the square that EfficientNet sees: emoji of 64 x 64 hold no more."""


def features(cache: Path | None) -> dict[str, Tensor]:
    """Image and text features of both splits, from ``cache`` if it is there."""
    if cache is not None and cache.is_file():
        return load_file(cache)
    network, out = EfficientNetFeatures(side=SIDE), {}
    for split in ("train", "test"):
        data = open_data("emoji", split=split)
        x = torch.from_numpy(data.x[:].copy())
        out[f"{split}.image"] = network(x).features
        out[f"{split}.text"] = minilm(list(data.captions[0 : len(data)]))
    if cache is not None:
        save_file(out, cache)
    return out


def retrieval(image: Tensor, text: Tensor) -> dict[str, float]:
    """Share of texts whose own image is the first, and among the first five, and the same of images."""
    similarity = text @ image.T
    own = similarity.diagonal()
    return {
        f"{name}@{k}": float(((s > own[:, None]).sum(1) < k).double().mean())
        for name, s in (("text to image", similarity), ("image to text", similarity.T))
        for k in (1, 5)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="a file for the networks' features, so that they are computed once")
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--decay", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    begin = time.monotonic()
    torch.manual_seed(args.seed)
    f = features(args.cache)
    mean, std = f["train.image"].mean(0), f["train.image"].std(0) + 1e-3
    image = (f["train.image"] - mean) / std
    to_image = torch.nn.Linear(image.shape[1], args.dims)
    to_text = torch.nn.Linear(f["train.text"].shape[1], args.dims)
    temperature = torch.nn.Parameter(torch.tensor(2.3))
    parameters = [*to_image.parameters(), *to_text.parameters(), temperature]
    steps = args.epochs * (len(image) // args.batch)
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=args.decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(args.epochs):
        for index in torch.randperm(len(image))[: len(image) // args.batch * args.batch].split(args.batch):
            x = F.dropout(image[index], 0.3)
            y = F.dropout(f["train.text"][index], 0.1)
            a, b = F.normalize(to_image(x), dim=1), F.normalize(to_text(y), dim=1)
            logits = temperature.exp() * a @ b.T
            target = torch.arange(len(index))
            loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        # The standardisation of features is a part of the linear map.
        weight = to_image.weight / std
        tensors = {
            "image.weight": weight, "image.bias": to_image.bias - weight @ mean,
            "text.weight": to_text.weight, "text.bias": to_text.bias,
        }  # fmt: skip
        tensors = {name: x.detach().half().contiguous() for name, x in tensors.items()}
        maps = {name: x.float() for name, x in tensors.items()}
        sides = {}
        for split in ("train", "test"):
            a = F.normalize(f[f"{split}.image"] @ maps["image.weight"].T + maps["image.bias"], dim=1)
            sides[split] = retrieval(
                a, F.normalize(f[f"{split}.text"] @ maps["text.weight"].T + maps["text.bias"], dim=1)
            )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, args.out.with_suffix(".safetensors"))
    content = args.out.with_suffix(".safetensors").read_bytes()
    about = {
        "command": "python benchmarks/train_aligner.py --out src/ornstein/evaluation/features/weights/emoji-aligner",
        "data": "emoji", "dims": args.dims, "epochs": args.epochs, "seed": args.seed,
        "side": SIDE, "test": len(f["test.image"]), "retrieval_test": sides["test"], "retrieval_train": sides["train"],
        "seconds": round(time.monotonic() - begin), "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    args.out.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(about, indent=1))


if __name__ == "__main__":
    main()
