"""Restoring pictures that a small model never saw, beside the classical methods of scikit-image: a table and a picture.

    python benchmarks/photographs.py photographs [--minutes 120] [--run runs/photographs] [--pictures 24] [--steps 50]
    python benchmarks/photographs.py emoji [--minutes 20] [--run runs/emoji]
    python benchmarks/photographs.py fashion-mnist

photographs: trains an EDM model (or goes on with the run) on patches of 64 x 64 of the photographs that scikit-image and
scikit-learn carry, without those held out, and of the Debian package mate-backgrounds (fetched once, into the cache); then
restores patches of the photographs held out. emoji: the same with the training emoji at 32 x 32, and the test ones.
fashion-mnist: test pictures with the bundled model, untrained further.

Writes the rows of these data in benchmarks/results/photographs.csv, and docs/pictures/restored-DATA.png. PSNR and SSIM are with
the truth; consistency is how well the result explains what was measured (PSNR in dB); fd is the Frechet distance between the
8 x 8 blocks of results and of truths, which blurred results have far from sharp ones. The picture shows the tasks side by side.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import skimage
import torch
from csv_rows import read_rows, write_rows
from PIL import Image
from skimage import metrics, restoration, transform
from sklearn import datasets
from torch import Tensor

import ornstein
from ornstein.codecs.base import to_bytes
from ornstein.core.measurement import Linear, Measurement
from ornstein.core.rng import Stream
from ornstein.data import Images, cache_dir, open_data
from ornstein.data.debian import unpack
from ornstein.evaluation.frechet import frechet
from ornstein.measurements import Direct, Mask, bicubic, gaussian_blur
from ornstein.recipes.samples import labelled_grid
from ornstein.recipes.system import System

SIZE, SHOWN = 64, 4
ROOT = Path(__file__).parent
RESULTS, PICTURES = ROOT / "results" / "photographs.csv", ROOT.parent / "docs" / "pictures"
HELD_OUT = ("chelsea", "coffee")
SEEN = ("astronaut", "rocket", "motorcycle_left", "china", "flower")
SETTINGS = {"widths": (32, 64, 96), "blocks": 1, "attention": (2,), "batch": 8, "flip": True, "patch": 2}
EMOJI = SETTINGS | {"widths": (32, 64), "attention": (), "batch": 16, "flip": False}
SCALE, BLUR, NOISE, BLOCK = 4, 1 / 32, 0.2, 8
"""Of the reduction; of the blur, in sides of the picture; of the noise; of the blocks whose law fd compares."""
MOST = 60.0
"""dB that a picture counts at most: a hole in a plain ground is filled without any error."""
Answer = Callable[[np.ndarray], np.ndarray]
"""A measured picture ``[h, w, C]`` in [0, 1] to a picture."""


def photographs() -> dict[str, Image.Image]:
    """By name, those of the packages."""
    folder = Path(skimage.__file__).parent / "data"
    found = {path.stem: path for path in folder.iterdir() if path.suffix in (".png", ".jpg")}
    found |= {Path(name).stem: Path(name) for name in datasets.load_sample_images().filenames}
    return {name: Image.open(found[name]).convert("RGB") for name in (*HELD_OUT, *SEEN)}


def landscapes() -> list[Image.Image]:
    """The photographs of mate-backgrounds, at most 1280 wide."""
    folder = cache_dir() / "mate-backgrounds"
    nature = folder / "usr" / "share" / "backgrounds" / "mate" / "nature"
    if not nature.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        unpack("mate-backgrounds", folder, "run with --without-landscapes")
    out = []
    for path in sorted(nature.glob("*.jpg")):
        image = Image.open(path).convert("RGB")
        image.thumbnail((1280, 1280))
        out.append(image)
    return out


def patches(images: list[Image.Image], each: int, least: int, most: int, seed: int) -> np.ndarray:
    """``[N, 3, 64, 64]`` bytes: squares of random sides and places, made smaller to 64."""
    random, out = np.random.default_rng(seed), []
    for image in images:
        for _ in range(each):
            side = int(random.integers(least, min(most, *image.size) + 1))
            x, y = (int(random.integers(0, extent - side + 1)) for extent in image.size)
            small = image.resize((SIZE, SIZE), Image.Resampling.LANCZOS, box=(x, y, x + side, y + side))
            out.append(np.asarray(small).transpose(2, 0, 1))
    return np.stack(out)


def training_set(each: int, with_landscapes: bool) -> Images:
    """Patches of every photograph that may be seen."""
    every = photographs()
    images = [every[name] for name in SEEN] + (landscapes() if with_landscapes else [])
    return Images(patches(images, each, SIZE, 320, 0), name="photographs")


def hole(size: int) -> slice:
    """Rows and columns that are sought, three eighths of each."""
    return slice(5 * size // 16, 11 * size // 16)


def measurements(x: Tensor) -> dict[str, Measurement]:
    """What is known of pictures ``[n, C, H, W]`` in [-1, 1], by task."""
    _, channels, size, _ = x.shape
    shape, rng = (channels, size, size), Stream(0)
    known = torch.ones(1, size, size)
    known[:, hole(size), hole(size)] = 0
    operators: dict[str, tuple[Linear, float]] = {
        "inpaint": (Mask(known), 0.0),
        "superres": (bicubic(shape, SCALE), 0.0),
        "deblur": (gaussian_blur(shape, BLUR * size), 0.02),
        "denoise": (Direct(), NOISE),
    }
    given = {}
    for task, (operator, noise) in operators.items():
        y = operator(x)
        given[task] = Measurement(y + noise * rng.normal_like(y), operator, noise)
    return given


def classical(size: int) -> dict[str, dict[str, Answer]]:
    """The methods of scikit-image, by task."""
    missing = np.zeros((size, size), bool)
    missing[hole(size), hole(size)] = True
    reach = int(4 * BLUR * size)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (BLUR * size)) ** 2)
    kernel = np.outer(bell, bell) / bell.sum() ** 2

    def wiener(y: np.ndarray) -> np.ndarray:
        wide = np.pad(y, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")  # or its edges would ring
        whole = np.stack([restoration.wiener(wide[..., c], kernel, 0.01) for c in range(y.shape[-1])], -1)
        return whole[reach:-reach, reach:-reach]

    def tv(y: np.ndarray) -> np.ndarray:
        return np.asarray(restoration.denoise_tv_chambolle(y, weight=NOISE / 2, channel_axis=-1))

    return {
        "inpaint": {"biharmonic": lambda y: restoration.inpaint_biharmonic(y, missing, channel_axis=-1)},
        "superres": {"bicubic": lambda y: transform.resize(y, (size, size), order=3, mode="reflect")},
        "deblur": {"wiener": wiener, "as measured": lambda y: y},
        "denoise": {"total variation": tv, "as measured": lambda y: y},
    }


def in_unit(x: Tensor) -> np.ndarray:
    """``[n, C, H, W]`` in [-1, 1] to ``[n, H, W, C]`` in [0, 1]."""
    return ((x.double() + 1) / 2).movedim(1, -1).numpy()


def of_unit(x: np.ndarray) -> Tensor:
    """The way back, cut to the range."""
    return torch.from_numpy(2 * np.clip(x, 0, 1) - 1).movedim(-1, 1).float()


def blocks(x: Tensor) -> Tensor:
    """``[N, C 8 8]``: the 8 x 8 blocks of pictures, overlapping by half."""
    return torch.nn.functional.unfold(x.double(), BLOCK, stride=BLOCK // 2).movedim(1, -1).flatten(0, 1)


def scores(found: Tensor, x: Tensor, given: Measurement) -> dict[str, float]:
    """PSNR and SSIM with the truth, the PSNR of what the result would have measured, and the distance of blocks."""
    a, b = in_unit(found.clamp(-1, 1)), in_unit(x)
    pairs = list(zip(a, b, strict=True))
    error = given.operator(found.clamp(-1, 1)) - given.y
    explained = 10 * torch.log10(4 / error.flatten(1).square().mean(1).clamp_min(1e-10))
    return {
        "psnr": float(np.mean([min(MOST, metrics.peak_signal_noise_ratio(t, f, data_range=1)) for f, t in pairs])),
        "ssim": float(np.mean([metrics.structural_similarity(t, f, data_range=1, channel_axis=-1) for f, t in pairs])),
        "consistency": float(explained.mean()),
        "fd": frechet(blocks(found.clamp(-1, 1)), blocks(x)),
    }


def restored(system: System, x: Tensor, methods: list[str], steps: int) -> dict[str, dict[str, Tensor]]:
    """By task and method: the classical ones, then ours with one draw each."""
    out: dict[str, dict[str, Tensor]] = {}
    baselines = classical(x.shape[-1])
    for task, given in measurements(x).items():
        known = in_unit(given.y)
        out[task] = {
            name: of_unit(np.stack([np.asarray(answer(y)) for y in known])) for name, answer in baselines[task].items()
        }
        for method in methods:
            made = ornstein.restore(system, given, method=method, steps=steps, seed=0, batch=16)
            out[task][method] = made.tensor
            print(f"{task}, {method}: done", flush=True)
    return out


def draw(x: Tensor, results: Mapping[str, Mapping[str, Tensor]], methods: list[str], path: Path) -> None:
    """The tasks side by side, below each other what is measured, the method of scikit-image, ours, and the truth."""
    size = x.shape[-1]
    rows: dict[str, list[Tensor]] = {name: [] for name in ("measured", "scikit-image", *methods, "truth")}
    for task, given in measurements(x[:SHOWN]).items():
        rows["measured"].append(torch.nn.functional.interpolate(given.y, (size, size), mode="nearest"))
        rows["scikit-image"].append(next(iter(results[task].values()))[:SHOWN])
        rows["truth"].append(x[:SHOWN])
        for method in methods:
            rows[method].append(results[task][method][:SHOWN])
    every = torch.cat([torch.cat(row) for row in rows.values()]).clamp(-1, 1)
    grid = labelled_grid(to_bytes(every), list(rows), len(every) // len(rows), zoom=SIZE // size)
    path.parent.mkdir(parents=True, exist_ok=True)
    grid.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def prepared(args: argparse.Namespace) -> tuple[System, Tensor, int]:
    """The model, pictures that it never saw ``[n, C, H, W]`` in [-1, 1], and how many pictures its training drew."""
    if args.data == "fashion-mnist":
        system, seen = ornstein.load("fashion-mnist"), 0
        held = open_data("fashion-mnist", split="test").x[: args.pictures]
    else:
        photos = args.data == "photographs"
        data = training_set(args.each, not args.without_landscapes) if photos else open_data("emoji", size=32)
        run, settings = args.run or Path("runs") / args.data, SETTINGS if photos else EMOJI
        system, result = ornstein.train("edm", data=data, out=run, settings=settings, minutes=args.minutes, seed=0)
        seen = result.seen
        print(f"{len(data)} pictures, {result.step} steps, loss {result.loss:.4f}", flush=True)
        every = photographs() if photos else {}
        if photos:
            each = -(-args.pictures // len(HELD_OUT))
            held = patches([every[name] for name in HELD_OUT], each, 128, 256, 1)
        else:
            held = open_data("emoji", size=32, split="test").x[:: 199 // args.pictures][: args.pictures]
    return system, torch.from_numpy(np.array(held)).float() / 127.5 - 1, seen


def main() -> None:
    """Train, restore, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("photographs", "emoji", "fashion-mnist"))
    parser.add_argument(
        "--minutes", type=float, default=120, help="of training in all, with what a resumed run has had"
    )
    parser.add_argument("--run", type=Path, help="default runs/DATA")
    parser.add_argument("--each", type=int, default=800, help="patches of each photograph in training")
    parser.add_argument("--pictures", type=int, default=24, help="held-out ones, in all")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--methods", default="ddrm,pigdm")
    parser.add_argument("--without-landscapes", action="store_true", help="leave mate-backgrounds out")
    args = parser.parse_args()
    methods = args.methods.split(",")
    system, x, seen = prepared(args)
    results = restored(system, x, methods, args.steps)
    given = measurements(x)
    rows: list[dict[str, object]] = []
    for task, made in results.items():
        for name, found in made.items():
            row = scores(found, x, given[task])
            ours = name in methods
            rows.append(
                {"data": args.data, "task": task, "method": name}
                | {k: f"{v:.3f}" for k, v in row.items()}
                | {"pictures": len(x), "steps": args.steps if ours else 0, "training_images": seen if ours else 0}
            )
            print(f"{task:9} {name:16} " + "  ".join(f"{k} {v:.3f}" for k, v in row.items()), flush=True)
    others: list[dict[str, object]] = [dict(row) for row in read_rows(RESULTS) if row["data"] != args.data]
    write_rows(RESULTS, sorted(rows + others, key=lambda row: str(row["data"])))
    draw(x, results, methods, PICTURES / f"restored-{args.data}.png")


if __name__ == "__main__":
    main()
