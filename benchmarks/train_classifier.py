"""Train the classifiers in whose features images are compared; they never see a generated image.

    python benchmarks/train_classifier.py --data fashion-mnist --out src/ornstein/evaluation/features/weights/fashion-mnist
    python benchmarks/train_classifier.py --data emoji --epochs 120 --out src/ornstein/evaluation/features/weights/emoji

Writes OUT.safetensors (float16) and OUT.json (command, seed, test accuracy, SHA-256). The test split is used once, to report.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.data import EDMAugment, open_data
from ornstein.evaluation.features.classifier import Classifier

SIZE = {"fashion-mnist": 28, "digits": 28, "emoji": 32}


class Mirrored:
    """The emoji again and again: turned, stretched, shifted and mirrored as EDM does it, and of other brightness."""

    def __init__(self, x: np.ndarray, seed: int):
        self.x, self.draw, self.change = x, np.random.default_rng(seed), EDMAugment(0.4)

    def batch(self, rows: np.ndarray) -> Tensor:
        """``[B, 3, 32, 32]`` in [-1, 1]."""
        bits = self.draw.integers(0, 2**64, (len(rows), self.change.draws), dtype=np.uint64)
        x = self.change.apply(Batch(torch.from_numpy(self.x[rows])), bits).x.float() / 127.5 - 1
        gain = torch.from_numpy(self.draw.uniform(0.8, 1.2, (len(rows), 3, 1, 1))).float()
        return 1 - (1 - x) * gain  # the white ground stays white


def augment(x: Tensor, flip: bool, generator: torch.Generator) -> Tensor:
    """Shifts of up to 2 pixels, one for the whole batch per draw, and mirrored images where that keeps the class."""
    dy, dx = torch.randint(-2, 3, (2,), generator=generator).tolist()
    x = torch.roll(F.pad(x, (2, 2, 2, 2), value=-1.0), (dy, dx), (2, 3))[..., 2:-2, 2:-2]
    if flip:
        mirrored = torch.rand(len(x), generator=generator) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
    return x


def accuracy(net: Classifier, x: Tensor, y: Tensor) -> float:
    """Share of right labels."""
    net.eval()
    right = sum(int((net.predict(x[i : i + 500]) == y[i : i + 500]).sum()) for i in range(0, len(x), 500))
    net.train()
    return right / len(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=tuple(SIZE), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    order = np.random.default_rng(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    size = SIZE[args.data]
    sets = {s: open_data(args.data, size=size, split=s) for s in ("train", "test")}
    (x, y), (x_test, y_test) = (
        (torch.from_numpy(d.x.copy()).float() / 127.5 - 1, torch.from_numpy(d.labels.copy())) for d in sets.values()
    )
    channels = x.shape[1]
    net = Classifier(classes=len(sets["train"].classes), width=args.width, channels=channels)
    net.to(memory_format=torch.channels_last).train()
    batch, peak = 128, 0.1
    steps = args.epochs * (len(x) // batch)
    optimizer = torch.optim.SGD(net.parameters(), lr=peak, momentum=0.9, nesterov=True, weight_decay=5e-4)
    begin, step = time.time(), 0
    turned = Mirrored(sets["train"].x, args.seed) if channels == 3 else None
    for epoch in range(args.epochs):
        index = torch.from_numpy(order.permutation(len(x)))
        for i in range(0, len(x) - batch + 1, batch):
            rows = index[i : i + batch]
            flip = args.data == "fashion-mnist"
            xb = augment(x[rows], flip, generator) if turned is None else turned.batch(rows.numpy())
            xb = xb.contiguous(memory_format=torch.channels_last)
            lr = peak * min((step + 1) / 300, 0.5 * (1 + math.cos(math.pi * step / steps)))
            for group in optimizer.param_groups:
                group["lr"] = lr
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(xb)[1]
            loss = F.cross_entropy(logits.float(), y[rows], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
        if epoch % max(args.epochs // 14, 1) == 0 or epoch + 1 == args.epochs:
            print(f"epoch {epoch + 1}: loss {loss.item():.3f}, {time.time() - begin:.0f} s", flush=True)
    half = {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    net.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in half.items()}
    )  # measure what is shipped
    test = accuracy(net, x_test, y_test)
    path = args.out.with_suffix(".safetensors")
    save_file({k: v.contiguous() for k, v in half.items()}, path)
    about = {
        "command": f"python benchmarks/train_classifier.py --data {args.data} --epochs {args.epochs} --width {args.width} "
        f"--seed {args.seed} --out {args.out.name}",
        "data": args.data,
        "classes": list(sets["train"].classes),
        "width": args.width,
        "channels": channels,
        "size": size,
        "features": net.project.out_features,
        "seed": args.seed,
        "test_accuracy": round(test, 4),
        "train_accuracy": round(accuracy(net, x[:10000], y[:10000]), 4),
        "seconds": round(time.time() - begin),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    args.out.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
    print(json.dumps(about, indent=1))


if __name__ == "__main__":
    main()
