r"""Start-up, time per step and peak memory of checkpoints, beside diffusers' own pipelines on the same folders.

    python benchmarks/checkpoint_speed.py [--cases NAME ...] [--repeats 3] [--threads 1]

Small random checkpoints of each family, and Stable Diffusion 1.5 at its published size with random weights ("sd15": a U-Net of
860 M parameters, 4 steps at 256 x 256; "sd15, bf16" computes in bfloat16 on both sides). Each measurement is a process of its own
that does what a user's script does (import, load the folder, draw one picture), ours and theirs in turn; of each number the
median is kept. Start-up is the time from the start of the process to the end of the first step (which brings the weights into
memory where they are the file's own), a step the median time between two later calls of the network, and the peak that of the
resident memory of the whole process (Linux). Writes ``benchmarks/results/checkpoint_speed.csv`` and the table of
``docs/guide/real-checkpoints.md``; rows of cases that were not asked for stay.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from csv_rows import read_rows, write_rows
from pages import show_table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "checkpoint_speed.csv"
PAGE = ROOT / "docs" / "guide" / "real-checkpoints.md"
SIDES = ("ornstein", "diffusers")
NUMBERS = ("start_s", "step_s", "whole_s", "peak_mb")


@dataclass(frozen=True)
class Case:
    """One folder, and how each side is called."""

    family: str
    """of the makers of the tests, or "sd15" """
    pipeline: str
    """diffusers' class"""
    ours: dict[str, Any] = field(default_factory=dict)
    theirs: dict[str, Any] = field(default_factory=dict)
    steps: int = 20
    size: int | None = None
    """height and width that the checkpoint does not say itself"""
    bf16: bool = False


_WORDS: dict[str, Any] = {"prompt": "a cat", "guidance": 5.0}
_THEIRS: dict[str, Any] = {"prompt": "a cat", "guidance_scale": 5.0}
_PLAIN: dict[str, Any] = {"clean_caption": False, "use_resolution_binning": False}
CASES: dict[str, Case] = {
    "DDPM": Case("unconditional", "DDPMPipeline"),
    "Stable Diffusion": Case("stable diffusion", "StableDiffusionPipeline", _WORDS, _THEIRS),
    "latent consistency": Case("latent consistency", "LatentConsistencyModelPipeline", _WORDS, _THEIRS),
    "SDXL": Case("sdxl", "StableDiffusionXLPipeline", _WORDS, _THEIRS),
    "DiT": Case("dit", "DiTPipeline", {"label": 3, "guidance": 4.0}, {"class_labels": [3], "guidance_scale": 4.0}),
    "PixArt": Case("pixart", "PixArtAlphaPipeline", _WORDS, {**_THEIRS, **_PLAIN}),
    "Stable Diffusion 3": Case("stable diffusion 3", "StableDiffusion3Pipeline", _WORDS, _THEIRS),
    "Flux": Case("flux", "FluxPipeline", _WORDS, {**_THEIRS, "height": 16, "width": 16}, size=16),
    "sd15": Case("sd15", "StableDiffusionPipeline", _WORDS, _THEIRS, steps=4),
    "sd15, bf16": Case("sd15", "StableDiffusionPipeline", _WORDS, _THEIRS, steps=4, bf16=True),
}


def draw(side: str, path: str, case: Case, begin: float) -> dict[str, float]:
    """One picture in this process, begun at ``begin`` on the system's monotonic clock."""
    calls: list[float] = []

    def called(*_: Any) -> None:
        calls.append(time.monotonic())

    if side == "ornstein":
        import ornstein

        size: dict[str, Any] = {} if case.size is None else {"size": (case.size, case.size)}
        kind: dict[str, Any] = {"memory": ("bf16", "vae-bf16")} if case.bf16 else {}
        system: Any = ornstein.load(path, **size, **kind)
        system.denoiser.network.model.register_forward_pre_hook(called)
        made = system.sample(1, steps=case.steps, seed=0, **case.ours).tensor
    else:
        import diffusers
        import torch

        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        kind = {"torch_dtype": torch.bfloat16} if case.bf16 else {}
        pipe = getattr(diffusers, case.pipeline).from_pretrained(path, **kind)
        pipe.set_progress_bar_config(disable=True)
        (pipe.unet if hasattr(pipe, "unet") else pipe.transformer).register_forward_pre_hook(called)
        output = "np" if case.pipeline in ("DDPMPipeline", "DiTPipeline") else "pt"
        rng = torch.Generator().manual_seed(0)
        made = pipe(num_inference_steps=case.steps, generator=rng, output_type=output, **case.theirs)[0]
    end = time.monotonic()
    lines = Path("/proc/self/status").read_text().splitlines()
    return {
        "start_s": calls[1] - begin,
        "step_s": median(b - a for a, b in pairwise(calls[1:])),
        "whole_s": end - begin,
        "peak_mb": int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6,
        "spread": float(made.std()),
    }


def make(family: str, path: Path) -> Path:
    """The folder of a family."""
    import warnings

    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if family == "sd15":
            import checkpoint_memory

            checkpoint_memory.make(path, "sd15", 256)
        elif family == "unconditional":
            import diffusers

            from interop.checkpoints import unconditional

            unconditional(path, diffusers.DDPMScheduler())
        else:
            from interop import makers

            makers.make(family, path)
    return path


def measured(name: str, path: Path, repeats: int, threads: int) -> dict[str, Any]:
    """One row: the medians of each side and their ratios."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # or every start would compile anew
    env |= {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore", "HF_HUB_OFFLINE": "1"}
    for i in range(2 * repeats):
        side = SIDES[(i + i // 2) % 2]  # ours, theirs, theirs, ours, ...: neither is always second
        words = [sys.executable, __file__, "--one", side, str(path), name, repr(time.monotonic())]
        done = subprocess.run(words, capture_output=True, text=True, env=env, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        found[side].append(json.loads(done.stdout.splitlines()[-1]))
    row: dict[str, Any] = {"case": name, "pipeline": CASES[name].pipeline, "steps": CASES[name].steps}
    row |= {"repeats": repeats, "threads": threads}
    for number in NUMBERS:
        ours, theirs = (median(x[number] for x in found[side]) for side in SIDES)
        row |= {
            number: f"{ours:.4g}",
            f"{number}_diffusers": f"{theirs:.4g}",
            f"{number}_ratio": f"{ours / theirs:.3f}",
        }
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: ours / diffusers' and the ratio."""
    head = "| | start-up, s | | a step, ms | | peak, MB | |\n|---|---|---|---|---|---|---|\n"
    lines = []
    for row in rows:
        cells = []
        for number, scale, form in (("start_s", 1, ".2f"), ("step_s", 1000, ".4g"), ("peak_mb", 1, ".0f")):
            ours, theirs = (float(row[number + end]) * scale for end in ("", "_diffusers"))
            cells += [f"{ours:{form}} / {theirs:{form}}", f"{float(row[f'{number}_ratio']):.2f}"]
        lines.append(f"| {row['case']} | {' | '.join(cells)} |\n")
    return head + "".join(lines)


def write(rows: list[dict[str, Any]]) -> None:
    """The CSV, with the rows of other cases kept, and the page's table."""
    new = {row["case"]: row for row in [*read_rows(RESULTS), *rows]}
    ordered = [new[name] for name in CASES if name in new]
    write_rows(RESULTS, ordered)
    show_table(PAGE, "speed", table(ordered))


def main() -> None:
    """Make the folders, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), metavar="NAME")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folders", type=Path, help="keep the random checkpoints here, and take those that are here")
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    parser.add_argument("--one", nargs=4, metavar=("SIDE", "FOLDER", "CASE", "BEGIN"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        side, path, name, begin = args.one
        print(json.dumps(draw(side, path, CASES[name], float(begin))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        root = args.folders or Path(temporary)
        for name in args.cases:
            path = root / CASES[name].family.replace(" ", "-")
            if not path.is_dir():
                make(CASES[name].family, path)
            rows.append(measured(name, path, args.repeats, args.threads))
            print("  ".join(f"{k} {v}" for k, v in rows[-1].items()), flush=True)
    if not args.dry:
        write(rows)


if __name__ == "__main__":
    main()
