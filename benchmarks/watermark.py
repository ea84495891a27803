"""What the invisible marks survive in photographs, what they cost, and how often they are seen where there are none.

    python benchmarks/watermark.py [--photos FOLDER] [--methods spread,rivagan] [--sizes 512,256,128] [--unmarked 300]

Photographs are those of scikit-image and scikit-learn, and the JPEG files below ``--photos`` (the table in the guide has
those of the Debian package mate-backgrounds, folder nature). For the marks each photograph is cut square about its middle and
scaled to the size; for false alarms, squares are cut at random places and scales, and looked at with another key each. Rows go
to ``benchmarks/results/watermark.csv``, where those of other methods and sizes stay; the table goes to
docs/guide/provenance.md.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from csv_rows import read_rows, write_rows
from pages import show_table
from PIL import Image

from ornstein.provenance.files import as_bytes
from ornstein.provenance.mark import Mark
from ornstein.provenance.marks import get_mark
from ornstein.recipes.samples import to_image

NAMES = (
    "astronaut", "brick", "camera", "cat", "coffee", "coins", "grass", "gravel", "hubble_deep_field",
    "immunohistochemistry", "moon", "retina", "rocket",
)  # fmt: skip
PAYLOAD = 0xC0FFEE42
RESULTS = Path("benchmarks/results/watermark.csv")
GUIDE = Path("docs/guide/provenance.md")


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Through a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    with Image.open(file) as again:
        return again.copy()


def resized(image: Image.Image, share: float) -> Image.Image:
    """Each side that much of what it was."""
    size = (max(round(image.width * share), 1), max(round(image.height * share), 1))
    return image.resize(size, Image.Resampling.BICUBIC)


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Each side cut to that share, neither in the middle nor at a corner."""
    width, height = round(image.width * share), round(image.height * share)
    left, top = int((image.width - width) * 0.37), int((image.height - height) * 0.61)
    return image.crop((left, top, left + width, top + height))


ATTACKS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "PNG": lambda i: i,
    "JPEG 75": lambda i: jpeg(i, 75),
    "resize 75 %": lambda i: resized(i, 0.75),
    "crop 80 %": lambda i: cropped(i, 0.8),
    "JPEG 50": lambda i: jpeg(i, 50),
    "resize 50 %": lambda i: resized(i, 0.5),
    "all three": lambda i: jpeg(resized(cropped(i, 0.8), 0.75), 75),
}


def photographs(folder: Path | None) -> list[Image.Image]:
    """As they are in the packages."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    arrays = [getattr(data, name)() for name in NAMES] + [data.stereo_motorcycle()[0], *load_sample_images().images]
    found = [Image.fromarray(np.asarray(a, dtype=np.uint8)) for a in arrays]
    for path in sorted(folder.rglob("*.jpg")) if folder else ():
        with Image.open(path) as file:
            file.draft("RGB", (2048, 2048))
            found.append(file.convert("RGB"))
    return found


def square(image: Image.Image, size: int) -> Image.Image:
    """The middle, scaled."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)


def random_square(images: Sequence[Image.Image], size: int, rng: np.random.Generator) -> Image.Image:
    """Somewhere in one of them, at a random scale."""
    image = images[int(rng.integers(len(images)))]
    side = int(rng.integers(min(size, *image.size), min(image.size) + 1))
    left, top = (int(rng.integers(0, n - side + 1)) for n in image.size)
    return image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)


def survival(mark: Mark, images: Sequence[Image.Image], size: int) -> dict[str, object]:
    """Rates at which the mark is found, and its payload read, after each attack."""
    psnr, seconds = [], []
    found, read = (dict.fromkeys(ATTACKS, 0) for _ in range(2))
    for image in images:
        x = as_bytes(square(image, size))
        begin = time.process_time()
        y = mark.embed(x, PAYLOAD)
        seconds.append(time.process_time() - begin)
        psnr.append(10 * np.log10(255**2 / float((x.float() - y.float()).square().mean())))
        for name, attack in ATTACKS.items():
            seen = mark.detect(as_bytes(attack(to_image(y))))
            found[name] += seen.found
            read[name] += seen.found and seen.payload == PAYLOAD
    n = len(images)
    return {
        "pictures": n, "psnr": round(float(np.mean(psnr)), 1), "lowest_psnr": round(float(min(psnr)), 1),
        "embed_seconds": round(float(np.mean(seconds)), 3),
        **{f"found {k}": round(v / n, 3) for k, v in found.items()},
        **{f"read {k}": round(v / n, 3) for k, v in read.items()},
    }  # fmt: skip


def alarms(method: str, images: Sequence[Image.Image], size: int, count: int) -> dict[str, object]:
    """Unmarked squares in which the mark is seen."""
    rng = np.random.default_rng(size)
    seen, begin = 0, time.process_time()
    for i in range(count):
        mark = get_mark(method, f"key {size} {i}")
        seen += mark.detect(as_bytes(random_square(images, size, rng))).found
    return {
        "unmarked": count, "alarms": seen, "detect_seconds": round((time.process_time() - begin) / max(count, 1), 3)
    }  # fmt: skip


def write(rows: list[dict[str, object]]) -> list[dict[str, str]]:
    """Add rows to those of other methods and sizes; returns all."""
    old = read_rows(RESULTS)
    new = {(r["method"], str(r["size"])) for r in rows}
    merged = [r for r in old if (r["method"], r["size"]) not in new] + [{k: str(v) for k, v in r.items()} for r in rows]
    merged.sort(key=lambda r: (r["method"] != "spread", -int(r["size"])))
    write_rows(RESULTS, merged)
    return merged


def table(rows: list[dict[str, str]]) -> str:
    """Markdown: found (read) in percent."""
    names = list(ATTACKS)
    lines = [f"| mark | size | PSNR, dB | {' | '.join(names)} | false alarms |", f"|{'---|' * (len(names) + 4)}"]
    for r in rows:
        cells = []
        for name in names:
            found, read = (f"{100 * float(r[f'{kind} {name}']):.0f}" for kind in ("found", "read"))
            cells.append(found if r["method"] != "spread" else f"{found} ({read})")
        size = f"{r['size']} x {r['size']}"
        lines.append(
            f"| {r['method']} | {size} | {r['psnr']} | {' | '.join(cells)} | {r['alarms']} of {r['unmarked']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--methods", default="spread")
    parser.add_argument("--sizes", default="512,256,128,64,32,28")
    parser.add_argument("--unmarked", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images = photographs(args.photos)
    for method in args.methods.split(","):
        for size in map(int, args.sizes.split(",")):
            kept = [i for i in images if min(i.size) >= min(size, 256)]
            row = {"method": method, "size": size, **survival(get_mark(method, "benchmark"), kept, size)}
            row |= alarms(method, kept, size, args.unmarked)
            print(row, flush=True)
            show_table(GUIDE, "watermark", table(write([row])))


if __name__ == "__main__":
    main()
