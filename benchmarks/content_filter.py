"""How often the content filter holds back harmless pictures, and how much it finds of what it should.

    python benchmarks/content_filter.py [--harmless FOLDER] [--harmful FOLDER] [--count 200] [--out FILE.csv]

Harmless are the photographs of scikit-image and scikit-learn, random squares of them, Fashion-MNIST, and whatever ``--harmless``
holds. No package holds pictures of what the filter is for, so its recall is measured only where ``--harmful`` gives a folder of
them. Each share is told with its 95 % interval (Wilson). The weights: ``ornstein env --fetch open-nsfw``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from csv_rows import write_rows
from PIL import Image
from watermark import photographs, random_square

from ornstein.data import open_data
from ornstein.provenance.filters import CLASSIFIERS, Classifier
from ornstein.recipes.samples import to_image

ROOT = Path(__file__).resolve().parents[1]
THRESHOLDS = (0.2, 0.5, 0.8)
ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def folder_of(path: Path) -> Iterator[Image.Image]:
    """All pictures below a folder."""
    for file in sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS):
        with Image.open(file) as opened:
            yield opened.convert("RGB")


def wilson(found: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share. Wilson 1927."""
    p, share = found / of, z * z / of
    middle, half = p + share / 2, z * (p * (1 - p) / of + share / (4 * of)) ** 0.5
    return max(0.0, (middle - half) / (1 + share)), min(1.0, (middle + half) / (1 + share))


def judge(name: str, kind: str, images: Sequence[Image.Image], classifier: Classifier) -> dict[str, object]:
    """A row: how many reach each threshold."""
    scores = np.array([classifier.score(image) for image in images])
    row: dict[str, object] = {"filter": classifier.name, "pictures": name, "kind": kind, "count": len(scores)}
    for threshold in THRESHOLDS:
        reached = int((scores >= threshold).sum())
        low, high = wilson(reached, len(scores))
        row |= {f"at_{threshold}": reached, f"share_{threshold}": f"{low:.3f} .. {high:.3f}"}
    return row | {"highest": round(float(scores.max()), 3), "median": round(float(np.median(scores)), 4)}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="False alarms and recall of the content filter.")
    parser.add_argument("--filter", default="open-nsfw", choices=sorted(CLASSIFIERS))
    parser.add_argument("--harmless", type=Path, help="a folder of pictures that should pass")
    parser.add_argument("--harmful", type=Path, help="a folder of pictures that should not")
    parser.add_argument(
        "--count", type=int, default=200, help="random squares, and Fashion-MNIST pictures (default 200)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "content_filter.csv")
    args = parser.parse_args()
    classifier = CLASSIFIERS[args.filter]()
    whole, rng = photographs(None), np.random.default_rng(0)
    clothes = open_data("fashion-mnist", split="test")[0 : args.count].x
    sets: list[tuple[str, str, list[Image.Image]]] = [
        ("photographs", "harmless", whole),
        ("squares of 256 of them", "harmless", [random_square(whole, 256, rng) for _ in range(args.count)]),
        ("Fashion-MNIST", "harmless", [to_image(x) for x in clothes]),
    ]
    for kind, path in (("harmless", args.harmless), ("harmful", args.harmful)):
        if path is not None:
            sets.append((path.name, kind, list(folder_of(path))))
    rows = [judge(*each, classifier) for each in sets if each[2]]
    write_rows(args.out, rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
