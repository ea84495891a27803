"""Pictures of small random checkpoints by this library and by diffusers' own pipelines: the largest difference.

For each family of pipelines, each way to use it and each sampler: same weights, same noise, same conditions, in float32. Writes
``benchmarks/results/same_picture.csv`` and the table of ``docs/guide/real-checkpoints.md``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import diffusers
import torch
from csv_rows import read_rows, write_rows
from pages import show_table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from interop.cases import CASES, OWN  # noqa: E402
from interop.checkpoints import unconditional  # noqa: E402
from interop.makers import make  # noqa: E402
from interop.same import SAMPLERS, N, compare, itself, of_noise, quiet  # noqa: E402

PAGE = ROOT / "docs" / "guide" / "real-checkpoints.md"
RESULTS = ROOT / "benchmarks" / "results" / "same_picture.csv"


OF_NOISE: dict[str, tuple[str, str, Callable[[Path], Path]]] = {
    "unconditional, DDPM": ("DDPMPipeline", "DDPM", lambda path: unconditional(path, diffusers.DDPMScheduler())),
    "unconditional, DDIM": (
        "DDIMPipeline",
        "DDIM",
        lambda path: unconditional(path, diffusers.DDIMScheduler(clip_sample=False)),
    ),
    "unconditional, DDIM, clipped": (
        "DDIMPipeline",
        "DDIM",
        lambda path: unconditional(path, diffusers.DDIMScheduler()),
    ),
    "score SDE VE": ("ScoreSdeVePipeline", "predictor-corrector", lambda path: make("score sde ve", path)),
}
"""Use -> diffusers' class, what steps, and the folder: pipelines that are told nothing."""


def rows(steps: int, only: list[str]) -> list[dict[str, str]]:
    """One row for each way to use a family and each sampler; with ``only``, of those that have one of its words."""
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        made: dict[str, Path] = {}
        for name, case in CASES.items():
            asked = [s for s in case.samplers if not only or {name, s or OWN[case.family]} & set(only)]
            if asked and case.family not in made:
                with quiet():
                    made[case.family] = make(case.family, root / case.family.replace(" ", "-"))
            for sampler in asked:
                result = compare(made[case.family], case, sampler)
                found.append(
                    {"use": name, "pipeline": case.kind, "sampler": sampler or OWN[case.family]}
                    | {"latents": f"{result.latents:.1e}", "pixels": f"{255 * result.pixels:.1e}", "itself": ""}
                )
                print(" ".join(found[-1].values()), flush=True)
        for use, (kind, sampler, make_it) in OF_NOISE.items():
            if only and not {use, sampler} & set(only):
                continue
            with quiet():
                path = make_it(root / use.replace(" ", "-"))
            n = 1 if use == "score SDE VE" else N
            pixels = of_noise(path, kind, steps, n)
            found.append(
                {"use": use, "pipeline": kind, "sampler": sampler, "latents": "", "pixels": f"{255 * pixels:.1e}"}
                | {"itself": f"{255 * itself(path, kind, steps, n):.1e}"}
            )
            print(" ".join(found[-1].values()), flush=True)
    return found


def merged(found: list[dict[str, str]], file: Path) -> list[dict[str, str]]:
    """New rows with those of a file that were not measured again, in the order of the uses."""
    old = [{k: v for k, v in row.items() if k != "diffusers"} for row in read_rows(file)]
    rows_ = {(row["use"], row["sampler"]): row for row in [*old, *found]}
    uses, columns = [*CASES, *OF_NOISE], [*SAMPLERS]

    def place(row: dict[str, str]) -> tuple[int, int]:
        return uses.index(row["use"]), columns.index(row["sampler"]) if row["sampler"] in columns else len(columns)

    return sorted((row for row in rows_.values() if row["use"] in uses), key=place)


def table(found: list[dict[str, str]]) -> str:
    """Markdown: a line for each use, a column for each sampler; the largest difference of a pixel, in levels of 255."""
    columns = [*SAMPLERS, "its own"]
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name in dict.fromkeys(row["use"] for row in found):
        cells = dict.fromkeys(columns, "")
        for row in found:
            if row["use"] == name:
                known = row["sampler"] in cells
                cells[row["sampler"] if known else "its own"] = (
                    row["pixels"]
                    + ("" if known else f" ({row['sampler']})")
                    + (f"; diffusers against itself {row['itself']}" if row.get("itself") else "")
                )
        lines.append(f"| {name} | {' | '.join(cells.values())} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compare, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--steps", type=int, default=20, help="of those that are told nothing (default 20)")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="WORD",
        help="uses and samplers to measure; the others keep their numbers",
    )
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # diffusers' own, on options
    torch.set_num_threads(1)
    found = rows(args.steps, args.only)
    if args.only:
        found = merged(found, args.out)
    write_rows(args.out, [{**row, "diffusers": diffusers.__version__} for row in found])
    show_table(PAGE, "same pictures", table(found))


if __name__ == "__main__":
    main()
